"""Write .env.example and docs/settings.md from server/settings.py: python -m scripts.write_settings_docs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from pydantic.fields import FieldInfo

from server.settings import Settings

ROOT: Final = Path(__file__).resolve().parent.parent

ENV_HEADER: Final = """\
# Every setting of the server, with its default: copy this file to .env and change what you like.
# What the environment says goes over what .env says.
# Written by scripts/write_settings_docs.py from server/settings.py.
"""

TABLE_HEADER: Final = """\
# Settings

Read from the environment, then from `.env` in the working directory, then from these defaults; `.env.example`
holds them all. A value outside its range stops the start, with a message that names it. What else the
environment decides (where models are kept, CUDA, pip) stands in [deployment.md](deployment.md); what a client
may change for its own session, in [protocol.md](protocol.md#settings).

Written by `python -m scripts.write_settings_docs` from `server/settings.py`: change it there.

| setting | default | range | meaning, unit |
|---|---|---|---|
"""


class Setting(NamedTuple):
    """range: of a number, "" without one."""

    name: str
    default: str
    range: str
    meaning: str


def settings() -> Iterator[Setting]:
    for name, field in Settings.model_fields.items():
        yield Setting(name.upper(), _text(field.default), _range(field), field.description or "")


def env_example() -> str:
    return ENV_HEADER + "".join(
        f"\n# {meaning}{f' ({span})' if span else ''}\n{name}={default}\n"
        for name, default, span, meaning in settings()
    )


def settings_table() -> str:
    return TABLE_HEADER + "".join(
        f"| `{name}` | {f'`{default}`' if default else ''} | {span} | {meaning} |\n"
        for name, default, span, meaning in settings()
    )


FILES: Final[dict[str, Callable[[], str]]] = {".env.example": env_example, "docs/settings.md": settings_table}


def _text(value: object) -> str:
    """As it is written in the environment."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _range(field: FieldInfo) -> str:
    above, least, most = (_bound(field, name) for name in ("gt", "ge", "le"))
    if least and most:
        return f"{least} to {most}"
    limits = {"above": above, "at least": least, "at most": most}
    return ", ".join(f"{words} {limit}" for words, limit in limits.items() if limit)


def _bound(field: FieldInfo, name: str) -> str:
    """A bound of the field as text, "" if it has none."""
    return next((_text(getattr(limit, name)) for limit in field.metadata if hasattr(limit, name)), "")


def main() -> None:
    for name, text in FILES.items():
        (ROOT / name).write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
