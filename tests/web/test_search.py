"""The search finds words in all segments and ignores case and accents."""

from typing import Any

import pytest

from tests.web.browser import Modules

SEGMENTS = [
    {"id": "a", "words": [{"text": text} for text in ("The ", "Café ", "by ", "the ", "sea")]},
    {"id": "b", "words": [{"text": text} for text in ("Overthere ", "it ", "is")]},
    {"id": "c", "words": [{"text": text} for text in ("Đà ", "Nẵng")]},
]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("the", [[("a", 0, 1)], [("a", 3, 4)], [("b", 0, 1)]]),
        ("cafe  BY", [[("a", 1, 3)]]),
        ("é", [[("a", 0, 1)], [("a", 1, 2)], [("a", 3, 4)], [("a", 4, 5)], [("b", 0, 1)]]),
        ("sea over", [[("a", 4, 5), ("b", 0, 1)]]),
        ("sea overthere it", [[("a", 4, 5), ("b", 0, 2)]]),
        ("it is da", [[("b", 1, 3), ("c", 0, 1)]]),
        ("dã nang", [[("c", 0, 2)]]),
        ("  ", []),
    ],
)
async def test_matches_are_words(
    modules: Modules, query: str, expected: list[list[tuple[str, int, int]]]
) -> None:
    function = "({ findMatches }, [segments, query]) => findMatches(segments, query)"
    found: list[list[dict[str, Any]]] = await modules.run("search", function, [SEGMENTS, query])
    matches = [[(part["id"], part["from"], part["to"]) for part in match] for match in found]
    assert [match for i, match in enumerate(matches) if match not in matches[:i]] == expected
