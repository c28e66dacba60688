"""Test what readers of a shared session receive: no final is missing or doubled, whenever they ask."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.connection.sender import Follower
from server.protocols.native.shared_transcript import (
    MAX_BYTES,
    MAX_EVENTS,
    ShareableSession,
    SharedTranscript,
)


def partial(item: int, text: str = "good mourn") -> dict[str, Any]:
    return {
        "type": "transcript.partial",
        "item_id": f"item_{item}",
        "text": text,
        "stable_chars": 4,
        "start_ms": 0,
    }


def final(item: int, text: str = "good morning", **more: object) -> dict[str, Any]:
    return {
        "type": "response.audio_transcript.done",
        "transcript": text,
        "item_id": f"item_{item}",
        "start_ms": 0,
        "end_ms": 900,
        "language": "en",
        "confidence": 0.9,
        "audio": "AAAA",
        **more,
    }


def failed(item: int) -> dict[str, Any]:
    return {"type": "error", "item_id": f"item_{item}", "error": {"code": "transcription_failed"}}


CLEARED = {"type": "input_audio_buffer.cleared", "start_ms": 0, "dropped_ms": 640}
Told = tuple[int, str, dict[str, Any]]


def told(encoded: bytes) -> Told:
    lines = dict(line.split(": ", 1) for line in encoded.decode().split("\n") if line)
    return int(lines["id"]), lines["event"], orjson.loads(lines["data"])


def read(transcript: SharedTranscript, number: int = 0) -> list[Told]:
    """Return all events after a number."""
    found = []
    while (event := transcript.after(number)) is not None:
        found.append(told(event.encoded))
        assert event.number == found[-1][0]
        number = event.number
    return found


def names(events: list[Told]) -> list[tuple[str, str]]:
    return [(name, data.get("item_id", "")) for _, name, data in events]


def test_final_is_sent_without_its_audio() -> None:
    transcript = SharedTranscript()
    transcript.sent(7, final(1, speaker="A"))
    fields = {"text": "good morning", "item_id": "item_1", "start_ms": 0, "end_ms": 900, "language": "en"}
    assert read(transcript) == [(7, "final", {**fields, "speaker": "A"})]


def test_revised_speakers_follow_the_finals() -> None:
    transcript = SharedTranscript()
    transcript.sent(1, final(1, speaker="A"))
    transcript.sent(2, partial(2))
    items = [{"item_id": "item_1", "speaker": "B", "words": [{"start_ms": 0, "end_ms": 9, "speaker": "B"}]}]
    transcript.sent(3, {"type": "speakers.revised", "items": items})
    assert [name for _, name, _ in read(transcript)] == ["final", "partial", "speakers"]
    assert read(transcript)[-1] == (3, "speakers", {"items": [{"item_id": "item_1", "speaker": "B"}]})


def test_newest_partial_replaces_the_ones_before_it() -> None:
    transcript = SharedTranscript()
    for number, text in enumerate(("good", "good mourn"), 1):
        transcript.sent(number, partial(1, text))
    assert [(number, data["text"]) for number, _, data in read(transcript)] == [(2, "good mourn")]
    transcript.sent(3, final(1))
    assert names(read(transcript)) == [("final", "item_1")]


def test_partial_names_its_speaker_if_the_message_does() -> None:
    transcript = SharedTranscript()
    for number, fields in enumerate(({}, {"speaker": "B"}), 1):
        transcript.sent(number, {**partial(1), **fields})
        assert [data.get("speaker") for _, _, data in read(transcript)] == [fields.get("speaker")]


def test_partial_of_the_next_utterance_outlives_a_final() -> None:
    transcript = SharedTranscript()
    for number, message in enumerate((partial(1), partial(2), final(1)), 1):
        transcript.sent(number, message)
    assert names(read(transcript)) == [("partial", "item_2"), ("final", "item_1")]


@pytest.mark.parametrize("message", [failed(1), CLEARED], ids=["failed", "cleared"])
def test_utterance_without_final_is_dropped(message: dict[str, Any]) -> None:
    transcript = SharedTranscript()
    transcript.sent(1, partial(1))
    transcript.sent(2, message)
    assert names(read(transcript)) == [("dropped", "item_1")]


def test_other_messages_are_not_shared() -> None:
    transcript = SharedTranscript()
    for number, kind in enumerate(("session.created", "session.updated", "marker", "error"), 1):
        transcript.sent(number, {"type": kind, "resume_token": "secret"})
    transcript.sent(5, CLEARED)
    assert read(transcript) == []


def test_history_is_what_the_session_holds_for_a_resume() -> None:
    messages = [{"type": "session.created"}, partial(1), final(1), failed(2), final(3, '"type":"x"')]
    transcript = SharedTranscript(0, [orjson.dumps(each) for each in messages])
    assert names(read(transcript)) == [("final", "item_1"), ("dropped", "item_2"), ("final", "item_3")]
    transcript.sent(5, messages[4])  # it was in the history
    transcript.sent(6, final(4))
    assert names(read(transcript, 4)) == [("final", "item_3"), ("final", "item_4")]


def test_reader_is_told_what_is_no_longer_held() -> None:
    transcript = SharedTranscript(10, [orjson.dumps(final(1))])
    assert read(transcript)[:1] == [(10, "gap", {})]
    assert names(read(transcript, 10)) == [("final", "item_1")]


def test_history_is_bounded() -> None:
    transcript = SharedTranscript(0, [orjson.dumps(final(item)) for item in range(MAX_EVENTS + 5)])
    events = read(transcript)
    assert [events[0][:2], len(events)] == [(5, "gap"), MAX_EVENTS + 1]
    assert read(transcript, 5) == events[1:]


def test_kept_finals_are_bounded_by_number_and_size() -> None:
    transcript = SharedTranscript()
    for number in range(1, MAX_EVENTS + 3):
        transcript.sent(number, final(number))
    assert read(transcript)[0][:2] == (2, "gap")
    assert len(read(transcript, 2)) == MAX_EVENTS
    large = "x" * (MAX_BYTES // 4)
    for number in range(2_000, 2_006):
        transcript.sent(number, final(number, large))
    assert [number for number, _, _ in read(transcript)] == [2_002, 2_003, 2_004, 2_005]
    assert names(read(transcript, 2_002))[0] == ("final", "item_2003")


@pytest.mark.parametrize("last", [None, "", "x", "-1", "²", "4", "9" * 1_000])
def test_unknown_last_event_begins_anew(last: str | None) -> None:
    transcript = SharedTranscript()
    transcript.sent(3, final(1))
    assert transcript.first(last) == 0
    assert transcript.first("3") == 3


@given(
    st.lists(st.sampled_from([partial, final, failed]), max_size=40),
    st.lists(st.booleans(), min_size=40, max_size=40),
    st.lists(st.booleans(), min_size=40, max_size=40),
)
def test_every_reader_gets_each_final_once(kinds: list[Any], reads: list[bool], cuts: list[bool]) -> None:
    """A reader that reads at any time, and names the last event that it has, gets what all others get."""
    transcript, item = SharedTranscript(), 1
    seen, got = 0, list[Told]()
    for number, (kind, reads_now, is_cut) in enumerate(zip(kinds, reads, cuts, strict=False), 1):
        transcript.sent(number, kind(item))
        item += kind is not partial
        if reads_now:
            got += read(transcript, seen)
            seen = got[-1][0] if got else 0
        if is_cut:
            seen = transcript.first(str(seen))
    got += read(transcript, seen)
    assert [event for event in got if event[1] != "partial"] == [
        event for event in read(transcript) if event[1] != "partial"
    ]
    assert [number for number, _, _ in got] == sorted({number for number, _, _ in got})


class Session:
    """A session that has sent one final."""

    owner: str | None = "alice"

    def __init__(self) -> None:
        self.follower: Follower | None = None

    def kept_messages(self) -> tuple[int, list[bytes]]:
        return 0, [orjson.dumps(final(1))]

    def follow(self, follower: Follower) -> None:
        self.follower = follower


def test_session_is_followed_once_its_text_is_asked_for() -> None:
    session = Session()
    shareable = ShareableSession(session)
    assert (shareable.is_shared, session.follower) == (False, None)
    transcript = shareable.transcript()
    assert shareable.transcript() is transcript is session.follower
    assert names(read(transcript)) == [("final", "item_1")]


def test_readers_are_woken_and_counted() -> None:
    transcript, calls = SharedTranscript(), []
    with transcript.reading(lambda: calls.append(1)), transcript.reading(lambda: calls.append(2)):
        assert transcript.readers == 2
        transcript.sent(1, {"type": "marker"})
        assert calls == []
        transcript.sent(2, final(1))
        assert sorted(calls) == [1, 2]
    transcript.ended(suspended=False)
    assert (transcript.readers, len(calls), transcript.is_over) == (0, 2, True)
