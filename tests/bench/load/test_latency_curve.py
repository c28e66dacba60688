"""Test which numbers of streams count as held."""

from typing import Any

import pytest

from bench.load.latency_curve import line, meets_limits

GOOD: dict[str, Any] = {
    "streams": 4,
    "utterances": 20,
    "lost": 0,
    "errors": {},
    "closes": {"1000": 4},
    "final_ms": {"p50": 400, "p95": 900, "p99": 950},
    "beyond_silence_ms": {"p50": 100, "p95": 600, "p99": 650},
    "partial_ms": {"p95": 700},
    "partial_after_word_ms": {"p95": 550},
    "held": True,
}


def test_streams_are_held_within_a_second_beyond_the_silence() -> None:
    assert meets_limits(GOOD)
    assert meets_limits(GOOD | {"beyond_silence_ms": {"p95": 1_000}})


@pytest.mark.parametrize(
    "worse",
    [
        {"beyond_silence_ms": {"p95": 1_001}},
        {"beyond_silence_ms": {}},
        {"lost": 1},
        {"errors": {"server_overloaded": 1}},
        {"closes": {"1000": 3, "1013": 1}},
    ],
)
def test_streams_are_not_held_if_finals_are_late_lost_or_refused(worse: dict[str, Any]) -> None:
    assert not meets_limits(GOOD | worse)


def test_a_row_of_the_table_holds_what_was_seen() -> None:
    assert line(GOOD) == "| 4 | 400 / 900 / 950 | 600 | 700 | 550 | 20 | 0 | yes |"
