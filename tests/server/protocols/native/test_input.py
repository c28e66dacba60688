"""Test that every message becomes a call of the driver, a reply, or a ClientError."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pybase64
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.clip import Clip
from audio.decoder import PIECE
from batching.batcher import Batcher
from batching.threads import ThreadWorker
from server.errors import ClientError
from server.protocols.native.input import MAX_MARKER, NativeInput
from server.protocols.native.session_config import SessionConfig
from streaming.driver import StreamDriver
from streaming.endpointing import ModelSilence
from streaming.events import MarkerReached
from streaming.options import SessionOptions
from streaming.session import Session
from streaming.snapshot import RestorePoint, save
from tests.server.fakes import silent_models
from vad.segmenter import Reason

CONFIG = SessionConfig(SessionOptions())
APPEND = "input_audio_buffer.append"
TYPES = [APPEND, "input_audio_buffer.commit", "input_audio_buffer.clear", "session.update", "marker"]


class Client:
    """Send messages to an input whose models never answer."""

    def __init__(self, **session: object) -> None:
        self.driver = StreamDriver(silent_models(), SessionOptions())
        self.driver.__enter__()
        self.input = NativeInput(self.driver, CONFIG.merged(session))

    def say(self, type_: str, **fields: object) -> Any:
        return self.input.receive(json.dumps({"type": type_, **fields}))

    def append(self, pcm: bytes, **fields: object) -> Any:
        return self.say(APPEND, audio=pybase64.b64encode(pcm).decode(), **fields)

    def refusal(self, message: str | bytes) -> ClientError:
        with pytest.raises(ClientError) as refused:
            self.input.receive(message)
        return refused.value

    @property
    def received(self) -> int:
        """Samples received."""
        return self.driver.session.received


@pytest.fixture
def client() -> Client:
    return Client()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from(
    ["audio", "sample_rate", "format", "channels", "session", "id", "event_id", "words", "vad"]
)
likely = st.sampled_from(["AAAA", "pcm16", "pcma", 8000, 16000, 44100, 1, 2, {"words": True}, "x" * 300])
objects = st.dictionaries(fields, likely | json_values)


@given(st.text() | st.binary() | json_values.map(json.dumps) | objects.map(json.dumps))
def test_any_message_is_accepted_or_a_client_error(message: str | bytes) -> None:
    client = Client()
    try:
        client.input.receive(message)
    except ClientError as error:
        json.dumps(error.as_event()).encode()
    assert client.append(bytes(320)) is None


@given(st.sampled_from([*TYPES, "end_of_stream"]), objects)
def test_any_field_value_is_accepted_or_a_client_error(type_: str, message: dict[str, Any]) -> None:
    client = Client()
    refused: ClientError | None = None
    try:
        client.input.receive(json.dumps(message | {"type": type_}))
    except ClientError as error:
        refused = error
    if refused is not None:
        given_id = message.get("event_id")
        named = isinstance(given_id, str) and refused.code != "invalid_json"  # Infinity is none
        assert refused.event_id == (given_id if named else None)
        assert client.received == 0 or refused.message.endswith("that make no sample.")


@pytest.mark.parametrize(
    "message",
    [
        "",
        "null",
        "1e999",
        "NaN",
        '"text"',
        "[" * 100_000,
        "[" * 1_500 + "]" * 1_500,
        '{"a":' * 5_000 + "1" + "}" * 5_000,
        '{"type": "marker", "id": "\\ud800"}',
        '{"type": "marker", "id": "\ud800"}',
        '{"type": "marker", "id": "\x00"}',
        "\ufeff{}",
        "{'type': 'marker'}",
        '{"type": "marker", "id": "a"} {}',
    ],
    ids=lambda message: message[:40].encode(errors="backslashreplace").decode(),
)
def test_text_that_is_no_json_object_is_invalid_json(client: Client, message: str) -> None:
    assert client.refusal(message).code == "invalid_json"


def test_the_last_of_two_equal_keys_counts(client: Client) -> None:
    assert client.refusal('{"type": "marker", "type": "nonsense"}').message == "Unknown type: 'nonsense'."


@pytest.mark.parametrize("event_id", [1, None, ["a"], {"a": 1}, True, 1.5])
def test_event_id_that_is_no_string_is_not_returned(client: Client, event_id: object) -> None:
    message = json.dumps({"type": "nonsense", "event_id": event_id})
    assert client.refusal(message).event_id is None


def test_error_has_the_event_id_of_its_message(client: Client) -> None:
    for type_ in [*TYPES[:1], "marker", "session.update", "nonsense"]:
        assert client.refusal(json.dumps({"type": type_, "event_id": "mine"})).event_id == "mine"
    assert client.refusal("{").event_id is None


@pytest.mark.parametrize("number", [10**25, -(10**25), 1e300, 2**63, -1, 0.1])
def test_huge_number_is_an_invalid_value(client: Client, number: float) -> None:
    message = json.dumps({"type": APPEND, "audio": "AAAA", "sample_rate": number})
    assert client.refusal(message).code == "unsupported_sample_rate"


@given(st.text(max_size=MAX_MARKER))
async def test_marker_length_is_limited(marker: str) -> None:
    client = Client()
    client.say("marker", id=marker)
    async for event in client.driver.events():
        assert event == MarkerReached(marker)
        return


def test_a_refused_message_changes_nothing(client: Client) -> None:
    client.append(bytes(200))
    before = client.received
    for message in (
        {"type": APPEND, "audio": "AAAA", "channels": 0},
        {"type": APPEND, "audio": "A"},
        {"type": "session.update", "session": {"words": True, "channels": 0}},
        {"type": "session.update", "session": {"sample_rate": 8_000, "format": "pcmu", "language": 7}},
        {"type": "session.update", "session": {"sample_rate": 8_000, "turn": {"mode": "model"}}},
    ):
        client.refusal(json.dumps(message))
    assert client.received == before
    assert client.input.config == CONFIG
    client.append(bytes(3_200))
    assert client.received == before + 1_600


def test_a_message_may_have_an_encoding_of_its_own(client: Client) -> None:
    client.append(bytes(800), format="pcmu", sample_rate=16000)
    client.append(bytes(3200), channels=2)
    client.append(bytes(400))
    client.append(bytes(400), sample_rate=16_000.0, channels=1.0, format="PCM16")
    assert client.received == 800 + 800 + 200 + 200


def test_binary_frames_have_the_encoding_of_the_session() -> None:
    client = Client(format="float32", channels=2)
    assert client.input.receive(np.zeros(320, "<f4").tobytes()) is None
    assert client.received == 160
    client.say("session.update", session={"format": "pcma", "channels": 1})
    client.input.receive(bytes(100))
    assert client.received == 260
    client.say("session.update", session={"format": "PCMU", "channels": 1.0, "sample_rate": 16_000.0})
    client.input.receive(bytes(100))
    assert client.received == 360


def test_audio_is_acknowledged_once_to_subscribers() -> None:
    curious, quiet = Client(events="all"), Client()
    for client in (curious, quiet):
        assert client.input.acknowledge() is None
        assert client.append(bytes(3200)) is None
    acknowledged = {"type": "input_audio_buffer.acknowledged", "received_ms": 100}
    assert [curious.input.acknowledge() for _ in range(2)] == [acknowledged, None]
    assert quiet.input.acknowledge() is None
    curious.append(bytes(3200))
    curious.input.finish(Reason.END_OF_STREAM)
    assert curious.input.acknowledge() is None  # session.closed reports it


@pytest.mark.parametrize(
    ("chunk_ms", "due"), [(100, [2000, 4000]), (700, [2100, 4200]), (2500, [2500, 5000])]
)
def test_acknowledgements_follow_the_audio_received(chunk_ms: int, due: list[int]) -> None:
    curious, quiet = Client(events="all"), Client()
    chunks = [bytes(32 * chunk_ms)] * (5_000 // chunk_ms)
    told = [reply["received_ms"] for reply in map(curious.append, chunks) if reply]
    assert told == due
    assert not any(map(quiet.append, chunks))


def test_replayed_and_resumed_audio_is_not_acknowledged() -> None:
    client = Client(events="all")
    client.input.replay_audio(np.zeros(1600, np.float32))
    assert client.input.acknowledge() is None
    client.append(bytes(3200))
    client.input.pause()
    assert client.input.acknowledge() is None


def test_long_message_is_acknowledged_piece_by_piece() -> None:
    client = Client(events=["input_audio_buffer.acknowledged"], sample_rate=8_000, format="pcmu")
    told = [client.append(bytes([255]) * (5 * PIECE // 2))]
    assert PIECE < client.received <= 2 * PIECE
    while client.input.has_pending_input:
        told.append(client.input.continue_input())
    assert [message["received_ms"] for message in told] == sorted(
        {message["received_ms"] for message in told}
    )
    assert len(told) == 3
    client.say("input_audio_buffer.commit")
    assert client.received == 5 * PIECE


def test_long_message_is_completed_before_a_resume(client: Client) -> None:
    client.append(bytes(6 * PIECE))
    client.input.pause()
    assert not client.input.has_pending_input
    assert client.received == 3 * PIECE


def test_update_is_answered_with_the_configuration(client: Client) -> None:
    reply = client.say("session.update", session={"words": True})
    assert reply == {
        "type": "session.updated",
        "session": CONFIG.merged({"words": True}).effective(),
    }


def test_half_a_sample_waits_and_is_an_error_at_the_end(client: Client) -> None:
    client.append(bytes(3))
    client.append(bytes(3))
    assert client.received == 3
    client.append(bytes(1))
    with pytest.raises(ClientError, match="1 bytes were left over"):
        client.input.finish(Reason.END_OF_STREAM)
    assert client.input.ended


def test_commit_drains_the_resampler(client: Client) -> None:
    client.append(bytes(2 * 800), sample_rate=8000)
    client.say("input_audio_buffer.commit")
    assert client.received == 1600


def test_repeated_end_does_nothing(client: Client) -> None:
    client.say("end_of_stream")
    client.input.finish(Reason.DISCONNECT)
    assert client.input.ended


def test_audio_continues_at_a_whole_frame_after_a_resume(client: Client) -> None:
    client.input.receive(b"\x01\x02" * 160 + b"\x03")
    client.input.pause()
    assert client.input.received_ms == 10
    client.input.receive(b"\x01\x02" * 160)
    assert client.append(b"") is None  # nothing is left over of it
    client.input.finish(Reason.END_OF_STREAM)
    assert client.received == 320


def test_disconnect_after_the_end_changes_nothing(client: Client) -> None:
    client.input.finish(Reason.END_OF_STREAM)
    client.input.pause()
    assert client.received == 0


def test_commands_are_counted_even_if_refused() -> None:
    client = Client()
    input = NativeInput(client.driver, CONFIG, commands=7)
    input.receive(json.dumps({"type": "marker", "id": "m"}))
    for refused in (json.dumps({"type": "marker"}), "nonsense", "{}", json.dumps({"type": "nonsense"})):
        with pytest.raises(ClientError):
            input.receive(refused)
    input.receive(json.dumps({"type": "session.update", "session": {"words": True}}))
    input.receive(json.dumps({"type": "end_of_stream"}))
    assert input.commands == 7 + 7


def test_audio_is_not_counted_as_a_message_even_if_it_is_refused() -> None:
    client = Client()
    client.input.receive(bytes(320))
    client.append(bytes(320))
    for message in (json.dumps({"type": APPEND, "audio": "!"}), json.dumps({"type": APPEND, "format": 1})):
        client.refusal(message)
    float_client = Client(format="float32")
    float_client.refusal(np.array([np.nan], "<f4").tobytes())
    assert (client.input.commands, client.received, float_client.input.commands) == (0, 320, 0)


def test_live_audio_follows_replayed_audio() -> None:
    client = Client()
    client.input.replay_audio(np.zeros(100, np.float32))
    client.input.receive(bytes(200))
    assert client.received == 200


@given(st.lists(st.integers(1, 100), min_size=1, max_size=5), st.sampled_from([16_000, 8_000]))
def test_resume_continues_at_the_millisecond(cuts: list[int], rate: int) -> None:
    """cuts: frames before each disconnect; a client sends an incomplete millisecond again"""
    client = Client(sample_rate=rate)
    frames = np.arange(60 * rate // 1000, dtype="<i2") * 64
    for cut in [*cuts, len(frames)]:
        first = client.input.received_ms * rate // 1000
        client.input.receive(frames[first : first + cut].tobytes())
        client.input.pause()
    assert client.received == 60 * 16
    if rate == 16_000:
        heard = client.driver.session.audio.read(0, client.received)
        np.testing.assert_array_equal(heard, (frames / 32768).astype(np.float32))


def test_acknowledged_audio_need_not_be_sent_again() -> None:
    client = Client(events="all")
    client.append(bytes(2 * 16_013))
    reply = client.input.acknowledge()
    assert reply is not None
    assert (client.received, reply["received_ms"]) == (16_013, 1000)
    client.input.pause()
    assert client.input.received_ms == 1000


BY_MODEL = json.dumps({"type": "session.update", "session": {"turn": {"mode": "model"}, "words": True}})


def test_turn_model_that_is_absent_is_refused_by_name(client: Client) -> None:
    error = client.refusal(BY_MODEL)
    assert (error.code, error.param, error.close) == ("turn_model_unavailable", "session.turn.mode", None)
    assert "pull smart-turn-v3.2" in error.message
    assert client.input.config == CONFIG


def test_turn_model_is_accepted_where_there_is_one() -> None:
    worker: ThreadWorker[None, Clip, float] = ThreadWorker(lambda: None, lambda _, clips: [], name="turn")
    models = replace(silent_models(), turn_model=Batcher(worker, max_items=1, max_waiting=1))
    with StreamDriver(models, SessionOptions()) as driver:
        reply = NativeInput(driver, CONFIG).receive(BY_MODEL)
        assert driver.session.options.turn == ModelSilence()
    assert reply is not None
    assert reply["type"] == "session.updated"
    assert reply["session"]["turn"] == {"mode": "model", "shortest_ms": 200, "longest_ms": 1200}


def test_replay_accepts_the_turn_model_that_another_server_had() -> None:
    begun = RestorePoint(save(Session(SessionOptions())))
    with StreamDriver(silent_models(), SessionOptions(), begun=begun) as driver:
        input = NativeInput(driver, CONFIG)
        input.receive(BY_MODEL)
        driver.finish_replay()
        input.receive(json.dumps({"type": "session.update", "session": {"words": False}}))
        assert driver.session.options.turn == ModelSilence()
