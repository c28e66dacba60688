"""The search finds words in all segments and ignores case and accents."""

from typing import Any

import pytest

from tests.web.browser import Modules

SEGMENTS = [
    {"id": "a", "words": [{"text": text} for text in ("The ", "Café ", "by ", "the ", "sea")]},
    {"id": "b", "words": [{"text": text} for text in ("Overthere ", "it ", "is")]},
]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("the", [("a", 0, 1), ("a", 3, 4), ("b", 0, 1)]),
        ("cafe  BY", [("a", 1, 3)]),
        ("é", [("a", 0, 1), ("a", 1, 2), ("a", 3, 4), ("a", 4, 5), ("b", 0, 1)]),
        ("sea over", []),
        ("  ", []),
    ],
)
async def test_matches_are_words(modules: Modules, query: str, expected: list[tuple[str, int, int]]) -> None:
    function = "({ findMatches }, [segments, query]) => findMatches(segments, query)"
    found: list[dict[str, Any]] = await modules.run("search", function, [SEGMENTS, query])
    assert list(dict.fromkeys((each["id"], each["from"], each["to"]) for each in found)) == expected
