"""Test when an utterance counts as shown in bench.load.whisper_live."""

from typing import Any

from bench.load.message_tape import Label
from bench.load.whisper_live import Shown, line


def segment(start: float, end: float, text: str = "words", completed: bool = False) -> dict[str, Any]:
    return {"start": f"{start:.3f}", "end": f"{end:.3f}", "text": text, "completed": completed}


def test_an_utterance_is_shown_by_the_first_text_that_reaches_its_end() -> None:
    shown = Shown([Label(500, 2000), Label(3000, 5000)])
    shown.receive([segment(0.4, 1.2)], 1500)
    assert shown.shown_ms == {}
    shown.receive([segment(0.4, 1.9, text=" ")], 2100)
    assert shown.shown_ms == {}
    shown.receive([segment(0.4, 1.9)], 2300)
    shown.receive([segment(0.4, 2.2)], 2600)
    assert shown.latencies(shown.shown_ms) == [300]
    assert shown.final_ms == {}
    shown.receive([segment(0.4, 2.1, completed=True), segment(2.1, 5.5)], 5600)
    assert shown.latencies(shown.final_ms) == [3600]
    assert shown.latencies(shown.shown_ms) == [300, 600]


def test_a_text_is_not_shown_before_the_utterance_has_ended() -> None:
    shown = Shown([Label(500, 2000)])
    shown.receive([segment(0.4, 1.9)], 1950)
    assert shown.shown_ms == {}


def test_a_row_says_whether_the_streams_are_held() -> None:
    row = {
        "streams": 2,
        "utterances": 10,
        "lost": 1,
        "shown_ms": {"p50": 300, "p95": 900},
        "final_ms": {"p50": 2300, "p95": 2900},
        "held": False,
    }
    assert line(row) == "| 2 | 300 / 900 | 2300 / 2900 | 10 | 1 | no |"
