"""A text is found wherever it stands, whatever its case and accents."""

from typing import Any

import pytest

from tests.web.browser import Modules

SEGMENTS = [
    {"id": "a", "words": [{"text": text} for text in ("The ", "Café ", "by ", "the ", "sea")]},
    {"id": "b", "words": [{"text": text} for text in ("Overthere ", "it ", "is")]},
]


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ("the", [("a", 0, 1), ("a", 3, 4), ("b", 0, 1)]),
        ("cafe  BY", [("a", 1, 3)]),
        ("é", [("a", 0, 1), ("a", 1, 2), ("a", 3, 4), ("a", 4, 5), ("b", 0, 1)]),
        ("sea over", []),
        ("  ", []),
    ],
)
async def test_places_are_words(modules: Modules, wanted: str, places: list[tuple[str, int, int]]) -> None:
    asked = "({ placesOf }, [segments, wanted]) => placesOf(segments, wanted)"
    found: list[dict[str, Any]] = await modules.run("search", asked, [SEGMENTS, wanted])
    assert list(dict.fromkeys((each["id"], each["from"], each["to"]) for each in found)) == places
