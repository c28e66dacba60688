"""Messages of the server as events."""

import json

import pytest

from client import Error, Final, FinalWord, Lag, ProtocolError, Unknown, Updated
from client.events import Created, RevisedFinal, SpeakersRevised, parse, parse_numbered

DONE = {
    "type": "response.audio_transcript.done",
    "transcript": "hello world",
    "item_id": "item_1",
    "start_ms": 100,
    "end_ms": 900,
    "reason": "silence",
    "seq": 4,
}


def read(message: object) -> object:
    return parse(json.dumps(message))


def test_final_without_optional_fields_has_none() -> None:
    assert read(DONE) == Final("hello world", "item_1", 100, 900, "silence", 4)


def test_a_final_with_words_and_sound_holds_them() -> None:
    word = {"word": "hello", "start_ms": 100, "end_ms": 500, "confidence": 0.9}
    final = read({**DONE, "words": [word], "audio": "AAE=", "language": "en"})
    assert isinstance(final, Final)
    assert final.words == (FinalWord("hello", 100, 500, 0.9),)
    assert final.audio == b"\x00\x01"


def test_speakers_and_their_corrections_are_read() -> None:
    word = {"word": "hello", "start_ms": 100, "end_ms": 500, "confidence": 0.9, "speaker": "A"}
    final = read({**DONE, "words": [word, word | {"overlap": True}], "speaker": "A", "overlap": True})
    assert isinstance(final, Final)
    assert (final.speaker, final.overlap) == ("A", True)
    assert [(word.speaker, word.overlap) for word in final.words] == [("A", False), ("A", True)]
    spans = [{"start_ms": 100, "end_ms": 500, "speaker": "B"}]
    items = [{"item_id": "item_1", "speaker": "B", "words": spans}, {"item_id": "item_2", "speaker": "C"}]
    assert read({"type": "speakers.revised", "items": items}) == SpeakersRevised(
        (RevisedFinal("item_1", "B", ((100, 500, "B"),)), RevisedFinal("item_2", "C"))
    )


def test_an_error_is_read_in_each_of_its_shapes() -> None:
    assert read({"type": "error", "message": "no"}) == Error("no")
    nested = {"code": "invalid_json", "message": "no", "param": "x", "event_id": "e1", "retryable": False}
    expected = Error("no", "invalid_json", "x", "e1", False)
    assert read({"type": "error", "error": nested}) == expected
    assert read({"type": "error", "message": "no", "error": nested}) == expected


def test_settings_are_read_from_session() -> None:
    assert read({"type": "session.updated", "session": {"words": True}}) == Updated({"words": True})
    created = {"type": "session.created", "session_id": "s", "session": {}, "limits": {"message_bytes": 9}}
    more = {"recognizer": {"model": "tiny"}, "resume_token": "t"}
    assert read(created | more) == Created("s", {}, {"message_bytes": 9}, {"model": "tiny"}, "t")


def test_a_lag_is_read() -> None:
    assert read({"type": "server.lag", "lag_ms": 1200}) == Lag(1200)


def test_a_message_has_its_number_or_none() -> None:
    assert parse_numbered(json.dumps(DONE)) == (4, read(DONE))
    assert parse_numbered(json.dumps({"type": "error", "message": "no"})) == (0, Error("no"))


def test_unknown_type_is_no_error() -> None:
    message = {"type": "transcript.translated", "text": "hallo"}
    assert read(message) == Unknown("transcript.translated", message)


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[]", "{}", "7", '{"type": []}', '{"type": "marker"}', '{"type": "error"}'],
)
def test_invalid_message_raises(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse(text)


def test_invalid_base64_raises() -> None:
    with pytest.raises(ProtocolError):
        read({**DONE, "audio": "!"})
