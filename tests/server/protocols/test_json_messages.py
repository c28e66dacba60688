"""JSON messages: what is wrong with one is a ClientError that names the field."""

import pytest

from server.errors import ClientError
from server.protocols.json_messages import (
    Message,
    audio_of,
    event_id_of,
    handler_of,
    incomplete_sample_error,
    object_from_json,
)


def test_object_is_parsed() -> None:
    assert object_from_json('{"type": "marker", "id": "a"}') == {"type": "marker", "id": "a"}


@pytest.mark.parametrize("message", ["", "null", "[]", '"text"', "NaN", "{} {}", '{"id": "\\ud800"}'])
def test_message_that_is_no_json_object_is_invalid_json(message: str) -> None:
    with pytest.raises(ClientError) as refused:
        object_from_json(message)
    assert refused.value.code == "invalid_json"


def test_handler_is_chosen_by_type() -> None:
    assert handler_of({"type": "b"}, {"a": 1, "b": 2}) == 2


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        ({}, "A message needs a `type`."),
        ({"type": "c"}, "Unknown type: 'c'."),
        ({"type": ["a"]}, "Unknown type: \"['a']\"."),
        ({"type": "x" * 101}, f"Unknown type: {'x' * 100!r}."),
    ],
)
def test_missing_or_unknown_type_is_refused(event: Message, problem: str) -> None:
    with pytest.raises(ClientError) as refused:
        handler_of(event, {"a": 1})
    assert (refused.value.code, refused.value.param) == ("invalid_value", "type")
    assert refused.value.message == problem


def test_audio_is_decoded_from_base64() -> None:
    assert audio_of({"audio": "AAEC"}) == b"\x00\x01\x02"


@pytest.mark.parametrize("audio", ["AAEC_-8=", "AAEC\n/+8=\r\n", "AAEC_-8"])
def test_audio_may_have_another_spelling_of_base64(audio: str) -> None:
    assert audio_of({"audio": audio}) == b"\x00\x01\x02\xff\xef"


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        ({}, "`audio` is missing."),
        ({"audio": 5}, "`audio` must be a base64 string."),
        ({"audio": "AA!="}, "`audio` is not base64: "),
    ],
)
def test_audio_that_is_not_base64_is_refused(event: Message, problem: str) -> None:
    with pytest.raises(ClientError) as refused:
        audio_of(event)
    assert (refused.value.code, refused.value.param) == ("invalid_audio", "audio")
    assert refused.value.message.startswith(problem)


@pytest.mark.parametrize(
    ("event", "event_id"), [({"event_id": "mine"}, "mine"), ({"event_id": 1}, None), ({}, None)]
)
def test_event_id_is_a_string_or_none(event: Message, event_id: str | None) -> None:
    assert event_id_of(event) == event_id


def test_incomplete_sample_error_counts_the_lost_bytes() -> None:
    error = incomplete_sample_error(3)
    assert (error.code, error.param) == ("invalid_audio", "audio")
    assert error.message.startswith("3 bytes")
