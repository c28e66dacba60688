"""Test that broken guarantees of the protocol are found."""

import json
from typing import Any

import pytest

from tests.faults.protocol_checker import FINAL, Heard, Outcome, Wrong


def said(seq: int, type_: str, **fields: Any) -> bytes:
    return json.dumps({"type": type_, "seq": seq, **fields}).encode()


def created(seq: int = 1) -> bytes:
    return said(seq, "session.created", session_id="s", resume_token="t")


def final(seq: int, number: int, text: str = "one two") -> bytes:
    names = {
        "item_id": f"item_s_{number}",
        "previous_item_id": f"item_s_{number - 1}" if number > 1 else None,
    }
    rest = {"start_ms": 0, "end_ms": 9, "reason": "silence", "guard": None, "language": None}
    return said(seq, FINAL, transcript=text, confidence=None, **names, **rest)


def partial(seq: int, number: int, text: str, stable: int) -> bytes:
    return said(seq, "transcript.partial", item_id=f"item_s_{number}", text=text, stable_chars=stable)


def closed(seq: int, received: int = 10) -> bytes:
    sums = {"received_ms": received, "speech_ms": 6, "non_speech_ms": 4, "dropped_ms": 0, "segments": 1}
    return said(seq, "session.closed", **sums)


def outcome_of(*texts: bytes) -> Outcome:
    heard = Heard()
    for text in texts:
        heard.take(text)
    return heard.outcome()


def test_repeated_messages_after_a_disconnect_change_nothing() -> None:
    once = outcome_of(created(), final(2, 1), closed(3))
    assert outcome_of(created(), final(2, 1), final(2, 1), closed(3)) == once


def test_marker_requested_twice_is_reported_once() -> None:
    outcome = outcome_of(created(), said(2, "marker", id="m"), said(3, "marker", id="m"), closed(4))
    assert outcome.told == (("marker", "m"),)


def test_another_text_is_a_difference() -> None:
    one, other = (outcome_of(created(), final(2, 1, text), closed(3)) for text in ("a", "b"))
    assert one.difference(one) is None
    assert "told differs" in (one.difference(other) or "")


@pytest.mark.parametrize(
    "texts",
    [
        (created(), final(3, 1)),  # a number is missing
        (created(), final(2, 1, "a"), final(2, 1, "b")),  # another message with the same number
        (created(), closed(2), final(3, 1)),  # a message after the end
        (created(), final(2, 1)),  # no end
        (created(), final(2, 1), final(3, 1), closed(4)),  # an utterance sent twice
        (created(), final(2, 2), final(3, 1), closed(4)),  # out of order
        (created(), partial(2, 1, "one two", 7), final(3, 1, "one three"), closed(4)),  # stable words changed
        (created(), closed(2, received=30)),  # sums that do not agree
        (created(), said(2, "error", message="?"), closed(3)),  # an error that names no utterance
    ],
)
def test_violation_of_the_protocol_is_found(texts: tuple[bytes, ...]) -> None:
    with pytest.raises(Wrong):
        outcome_of(*texts)
