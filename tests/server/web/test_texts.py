"""Every text that the page uses exists, in each language."""

import re
from pathlib import Path

import pytest

from server.web.router import WEB

LOCALES = sorted(WEB.glob("locales/*.js"))


def texts_of(name: str) -> dict[str, str]:
    """Return the texts of a language by key."""
    found = re.findall(r"^  (\w+):\s+\"(.*)\",$", (WEB / "locales" / f"{name}.js").read_text(), re.M)
    return dict(found)


ENGLISH = texts_of("en")


def test_used_texts_exist() -> None:
    assert len(ENGLISH) > 50
    for path in [*WEB.glob("*.js"), *WEB.glob("*.html")]:
        content = path.read_text()
        keys = re.findall(r'\bt\("(\w+)"', content) + re.findall(r'data-t(?:-[a-z-]+)?="(\w+)"', content)
        assert set(keys) <= ENGLISH.keys(), f"{path.name} uses {set(keys) - ENGLISH.keys()}"


def test_no_text_is_unused() -> None:
    code = "".join(path.read_text() for path in [*WEB.glob("*.js"), *WEB.glob("*.html")])
    unused = [key for key in ENGLISH if not re.search(rf'["`]{re.sub("_.*", "_", key)}', code)]
    assert unused == []


@pytest.mark.parametrize("path", LOCALES, ids=lambda path: path.stem)
def test_languages_have_the_same_texts_and_values(path: Path) -> None:
    texts = texts_of(path.stem)
    assert texts.keys() == ENGLISH.keys()
    for key, text in texts.items():
        assert set(re.findall(r"{(\w+)}", text)) == set(re.findall(r"{(\w+)}", ENGLISH[key])), key
