"""Render the chart in deploy/helm without Helm, for tests.

Only what the templates use is known: values, `if`, `range`, and the functions below. Any other function is an
error, and so is a value that is not in values.yaml.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]
from jinja2 import Environment, StrictUndefined

CHART: Final = Path(__file__).resolve().parents[2] / "deploy/helm"
ACTION: Final = re.compile(r"\{\{(-?)\s*(.*?)\s*(-?)\}\}")

Manifest = dict[str, Any]


def to_yaml(value: object) -> str:
    """Return a value as YAML, without the last line break."""
    text: str = yaml.safe_dump(value)
    return text.rstrip("\n")


def nindent(text: str, width: int) -> str:
    """Return a text on new lines, indented by `width` spaces."""
    return "".join(f"\n{' ' * width}{line}" for line in text.splitlines())


FUNCTIONS: Final = {
    "quote": lambda value: json.dumps(str(value)),
    "toYaml": to_yaml,
    "nindent": nindent,
    "sha256sum": lambda text: hashlib.sha256(text.encode()).hexdigest(),
}


def render(changes: Mapping[str, Mapping[str, Any]] = {}, release: str = "stt") -> list[Manifest]:
    """Return the manifests of a release, whose values differ from values.yaml by `changes`."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for name, part in changes.items():
        values[name] |= part
    environment = Environment(undefined=StrictUndefined, autoescape=False)
    environment.filters.update(FUNCTIONS)
    manifests: list[Manifest] = []
    for path in sorted(CHART.glob("templates/*.yaml")):
        template = environment.from_string("".join(_jinja(path.read_text())))
        text = template.render(Values=values, Release={"Name": release})
        manifests += [manifest for manifest in yaml.safe_load_all(text) if manifest is not None]
    return manifests


def _jinja(template: str) -> Iterator[str]:
    """Yield the parts of a template of Go in the language of Jinja."""
    end = 0
    blocks: list[str] = []
    for action in ACTION.finditer(template):
        yield template[end : action.start()]
        end = action.end()
        trim, content, trim_after = action.groups()
        content = re.sub(r"(^|\s)\.(?=[A-Z])", r"\1", content)  # .Values, .Release
        keyword = content.partition(" ")[0]
        if keyword == "if":
            blocks.append("endif")
            statement = content
        elif keyword == "range":
            blocks.append("endfor")
            names, _, mapping = content.removeprefix("range ").replace("$", "").partition(" := ")
            statement = f"for {names} in ({mapping}).items()"
        elif keyword == "else":
            statement = content
        elif keyword == "end":
            statement = blocks.pop()
        else:
            yield f"{{{{{trim} {_pipeline(content)} {trim_after}}}}}"
            continue
        yield f"{{%{trim} {statement} {trim_after}%}}"
    yield template[end:]


def _pipeline(content: str) -> str:
    first, *functions = (part.strip().replace("$", "") for part in content.split("|"))
    name, _, argument = first.partition(" ")
    calls = [f"{argument} | {name}" if argument else first]
    for function in functions:
        name, _, argument = function.partition(" ")
        calls.append(f"{name}({argument})" if argument else name)
    return " | ".join(calls)
