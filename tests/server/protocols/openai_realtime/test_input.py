"""RealtimeIntake: what a client sends becomes calls of its pump, and notes for what is to be answered."""

import json
from typing import Any

import numpy as np
import pybase64
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import ClientError
from server.protocols.openai_realtime.input import IGNORED, MAX_PART_BYTES, RealtimeInput
from server.protocols.openai_realtime.ordered_replies import (
    CloseReply,
    CommitReply,
    DeleteReply,
    IdleCheck,
    RetrieveReply,
    UpdateReply,
)
from server.protocols.openai_realtime.session_config import RealtimeConfig
from streaming.driver import MAX_UNJUDGED, StreamDriver
from streaming.events import AudioCleared, Event, NoteReached, StreamClosed
from streaming.options import SessionOptions
from streaming.session import BUFFER_CAPACITY
from tests.server.delayed_models import LateModels
from vad.segmenter import Reason

PLAIN = RealtimeConfig(SessionOptions())
APPEND = "input_audio_buffer.append"
COMMIT = "input_audio_buffer.commit"
RATE = {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16_000}}}}


class Client:
    """Speaks to an intake; `heard` is what becomes of it."""

    def __init__(self, session: RealtimeConfig = PLAIN) -> None:
        self.models = LateModels(1)
        self.pump = StreamDriver(self.models.models(), session.options)
        self.pump.__enter__()
        self.intake = RealtimeInput(self.pump, session)

    def say(self, type_: str, **fields: object) -> None:
        self.intake.receive(json.dumps({"type": type_, **fields}))

    def append(self, pcm: bytes) -> None:
        self.say(APPEND, audio=pybase64.b64encode(pcm).decode())

    @property
    def received(self) -> int:
        """Samples."""
        return self.pump.session.received

    async def heard(self) -> list[Event]:
        self.intake.finish(Reason.END_OF_STREAM)
        self.models.answer_all()
        return [event async for event in self.pump.events()]

    async def notes(self) -> list[Any]:
        return [event.note for event in await self.heard() if isinstance(event, NoteReached)]


@pytest.fixture
def client() -> Client:
    return Client(PLAIN.merged(RATE))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
types = st.sampled_from(
    list(RealtimeInput(StreamDriver(LateModels(1).models(), PLAIN.options), PLAIN)._handlers)
)
fields = st.dictionaries(
    st.sampled_from(["audio", "session", "item_id", "event_id"]), st.just("AAAA") | json_values
)


@given(st.text() | st.binary() | json_values.map(json.dumps) | st.tuples(types, fields))
async def test_anything_at_all_is_borne(message: Any) -> None:
    client = Client()
    if isinstance(message, tuple):
        message = json.dumps(message[1] | {"type": message[0]})
    client.intake.receive(message)
    for note in await client.notes():
        if isinstance(note, ClientError):
            json.dumps(note.as_event())


async def test_sound_comes_as_base64_or_binary_at_the_rate_of_the_session() -> None:
    client = Client()
    client.append(bytes(2 * 2_400))
    client.intake.receive(bytes(2 * 2_400))
    client.say("session.input_audio_buffer.append", audio=pybase64.b64encode(bytes(2 * 2_400)).decode())
    closed = (await client.heard())[-1]
    assert isinstance(closed, StreamClosed)
    assert closed.received == 3 * 1_600


@pytest.mark.parametrize("binary", [True, False])
async def test_a_file_in_place_of_samples_is_an_error_and_the_session_continues(binary: bool) -> None:
    client = Client()
    webm = b"\x1aE\xdf\xa3" + bytes(2_000)
    if binary:
        client.intake.receive(webm)
    else:
        client.append(webm)
    client.append(bytes(2 * 2_400))
    error, closed = await client.heard()
    assert isinstance(error, NoteReached)
    assert isinstance(error.note, ClientError)
    assert (error.note.code, "WebM" in error.note.message) == ("invalid_audio", True)
    assert isinstance(closed, StreamClosed)
    assert closed.received == 1_600


async def test_what_is_asked_comes_back_in_order_at_its_place(client: Client) -> None:
    client.append(bytes(2 * 16_000))
    client.say(COMMIT, event_id="c")
    client.say("input_audio_buffer.clear")
    client.say("session.update", session={"include": None})
    client.say("transcription_session.update", session={"turn_detection": None})
    client.say("conversation.item.retrieve", item_id="a", event_id="r")
    client.say("conversation.item.delete", item_id="b")
    client.say("nonsense", event_id="n")
    client.say("session.close")
    heard = await client.heard()
    assert [event.at for event in heard if isinstance(event, NoteReached)] == [16_000] * 7
    committed, cleared, *rest, left, closed = heard
    assert committed == NoteReached(CommitReply("c"), 16_000)
    assert isinstance(cleared, AudioCleared)
    notes = [event.note for event in rest if isinstance(event, NoteReached)]
    assert isinstance(notes[0], UpdateReply)
    assert (notes[0].type, notes[0].session.beta) == ("session.updated", False)
    assert isinstance(notes[1], UpdateReply)
    assert (notes[1].type, notes[1].session.beta) == ("transcription_session.updated", True)
    assert notes[2:4] == [RetrieveReply("a", "r"), DeleteReply("b", None)]
    assert isinstance(notes[4], ClientError)
    assert notes[4].event_id == "n"
    assert left == NoteReached(CloseReply(), 16_000)
    assert isinstance(closed, StreamClosed)
    assert client.pump.input_ended


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ("{", "invalid_json", None),
        ("[]", "invalid_json", None),
        ({}, "invalid_value", "type"),
        ({"type": "x" * 1_000}, "invalid_value", "type"),
        ({"type": APPEND}, "invalid_audio", "audio"),
        ({"type": APPEND, "audio": 5}, "invalid_audio", "audio"),
        ({"type": APPEND, "audio": "AAAAA"}, "invalid_audio", "audio"),
        ({"type": "session.update"}, "invalid_value", "session"),
        ({"type": "session.update", "session": {"include": 5}}, "invalid_value", "session.include"),
        ({"type": "conversation.item.retrieve"}, "invalid_value", "item_id"),
        ({"type": "conversation.item.delete", "item_id": 7}, "invalid_value", "item_id"),
        ({"type": "response.create"}, "response_not_supported", "type"),
    ],
)
async def test_a_bad_message_is_an_error_that_names_it_and_changes_nothing(
    client: Client, message: Any, code: str, param: str | None
) -> None:
    before = client.intake.session
    said = message if isinstance(message, str) else json.dumps({**message, "event_id": "mine"})
    client.intake.receive(said)
    (error,) = await client.notes()
    assert (error.code, error.param, error.close) == (code, param, None)
    assert error.event_id == (None if isinstance(message, str) else "mine")
    assert len(error.message) < 300
    assert client.intake.session is before


@pytest.mark.parametrize("type_", sorted(IGNORED))
async def test_what_a_transcription_has_not_is_ignored_without_an_error(client: Client, type_: str) -> None:
    client.say(type_)
    assert await client.notes() == []


@pytest.mark.parametrize(("samples", "empty"), [(0, True), (1_599, True), (1_600, False)])
async def test_a_commit_of_less_than_100_ms_commits_nothing(
    client: Client, samples: int, empty: bool
) -> None:
    client.append(bytes(2 * 1_600))
    client.say(COMMIT)
    client.append(bytes(2 * samples))
    client.say(COMMIT, event_id="mine")
    notes = await client.notes()
    assert isinstance(notes[1], ClientError) == empty
    if empty:
        assert (notes[1].code, notes[1].event_id) == ("input_audio_buffer_commit_empty", "mine")


async def test_sound_before_an_empty_commit_is_kept_for_the_next_one() -> None:
    client = Client(PLAIN.merged({**RATE, "turn_detection": None}))
    client.append(bytes(2 * 800))
    client.say(COMMIT)
    client.append(bytes(2 * 800))
    client.say(COMMIT)
    first, second = await client.notes()
    assert isinstance(first, ClientError)
    assert isinstance(second, CommitReply)


async def test_a_long_message_is_taken_in_piece_by_piece(client: Client) -> None:
    pcm = np.arange(5 * MAX_PART_BYTES // 2, dtype="<i2").tobytes()
    client.append(pcm + b"\x00")
    assert client.received == MAX_PART_BYTES // 2
    pieces = 1
    while client.intake.has_pending_input:
        client.intake.continue_input()
        pieces += 1
    assert pieces == 6
    assert client.received == len(pcm) // 2


async def test_the_longest_message_of_the_slowest_format_fits_a_piece_at_a_time() -> None:
    form = {"audio": {"input": {"format": {"type": "audio/pcmu"}}}}
    client = Client(PLAIN.merged(form))
    client.append(bytes([255]) * (15 << 20))  # half an hour
    unjudged = 0
    while client.intake.has_pending_input:
        client.intake.continue_input()
        unjudged = max(unjudged, client.pump.session.unjudged)
        if not client.pump.has_capacity:
            client.models.answer_all()
    assert unjudged < MAX_UNJUDGED + 4 * MAX_PART_BYTES < BUFFER_CAPACITY
    assert (await client.heard())[-1].received == 2 * (15 << 20)  # type: ignore[union-attr]


async def test_an_end_in_the_middle_of_a_long_message_drops_the_rest(client: Client) -> None:
    client.append(bytes(3 * MAX_PART_BYTES))
    client.intake.finish(Reason.END_OF_STREAM)
    assert not client.intake.has_pending_input
    assert client.received == MAX_PART_BYTES // 2


async def test_a_byte_that_makes_no_sample_is_named_where_the_format_changes(client: Client) -> None:
    client.append(bytes(3))
    client.say("session.update", session={"audio": {"input": {"format": {"type": "audio/pcmu"}}}})
    client.append(bytes(3))
    notes = await client.notes()
    assert [note.code for note in notes if isinstance(note, ClientError)] == ["invalid_audio"]


async def test_with_an_idle_timeout_the_sound_that_passes_is_noted_now_and_then() -> None:
    client = Client(
        PLAIN.merged({**RATE, "turn_detection": {"type": "server_vad", "idle_timeout_ms": 5_000}})
    )
    for _ in range(20):
        client.append(bytes(2 * 1_600))
    assert await client.notes() == [IdleCheck()] * 4
    assert [note for note in await Client().notes() if note == IdleCheck()] == []
