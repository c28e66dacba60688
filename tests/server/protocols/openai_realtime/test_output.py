"""Test that events come in the order of docs/realtime.md, whatever a client does."""

import base64
import json
import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Hypothesis, Word
from audio.clip import Clip, Samples
from server.connection.protocol import Message
from server.errors import ClientError
from server.protocols.openai_realtime.input import RealtimeInput
from server.protocols.openai_realtime.ordered_replies import (
    CommitReply,
    DeleteReply,
    IdleCheck,
    RetrieveReply,
    UpdateReply,
)
from server.protocols.openai_realtime.output import MAX_ITEM_CHARS, RealtimeOutput
from server.protocols.openai_realtime.session_config import LOGPROBS, RealtimeConfig
from streaming.driver import StreamDriver
from streaming.events import (
    AudioCleared,
    Event,
    FinalTranscript,
    NoteReached,
    PartialTranscript,
    TranscriptionFailed,
    UtteranceEnded,
    UtteranceStarted,
)
from streaming.options import SessionOptions
from tests.examples import examples
from tests.server.delayed_models import LateModels
from tests.server.realtime_reader import Reader
from tests.streaming.fakes import sound
from vad.options import VadOptions
from vad.segmenter import Reason

PLAIN = RealtimeConfig(SessionOptions(), id="sess_1").merged(
    {"type": "transcription", "audio": {"input": {"format": {"type": "audio/pcm", "rate": 16_000}}}}
)
MANUAL = {"turn_detection": None}
TURNS: dict[str, Any] = {
    "server_vad": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 200}},
    "idle": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5_000}},
    "semantic_vad": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}},
    "manual": MANUAL,
}
CLIP = Clip(np.zeros(1_600, np.float32), 1_600)
SECOND = 16_000


def asked(event_id: str, kind: str) -> Message:
    """A message of the client whose reply is known."""
    messages: dict[str, Message] = {
        "update": {"type": "session.update", "session": {"include": [LOGPROBS]}},
        "bad update": {"type": "session.update", "session": {"include": 1}},
        "clear": {"type": "input_audio_buffer.clear"},
        "commit": {"type": "input_audio_buffer.commit"},
        "retrieve": {"type": "conversation.item.retrieve", "item_id": "nobody"},
        "delete": {"type": "conversation.item.delete", "item_id": "nobody"},
        "nonsense": {"type": "nonsense"},
        "respond": {"type": "response.create"},
    }
    return {"event_id": event_id, **messages[kind]}


def reply(event_id: str, kind: str) -> tuple[str, Any] | None:
    """None where it depends: a commit is answered by its item, or an error."""
    if kind == "commit":
        return None
    acknowledged = {"update": "session.updated", "clear": "input_audio_buffer.cleared"}
    return (acknowledged[kind], None) if kind in acknowledged else ("error", event_id)


KINDS = ["update", "bad update", "clear", "commit", "retrieve", "delete", "nonsense", "respond"]
lengths = st.sampled_from([900, 4_000, 9_000, 20_000, 40_000])
runs = st.lists(lengths, min_size=3, max_size=8).map(
    lambda lengths: [(number % 2 == 0, length) for number, length in enumerate(lengths)]
)
asks = st.lists(
    st.tuples(st.integers(1, 100), st.sampled_from([*KINDS, "commit", "commit", "clear", *TURNS])),
    min_size=2,
    max_size=12,
)


async def converse(
    samples: Samples,
    asks: list[tuple[int, str]],
    seed: int,
    *,
    session: RealtimeConfig = PLAIN,
    failures: float = 0.0,
    incremental: bool = False,
    end: Reason = Reason.END_OF_STREAM,
) -> tuple[list[Message], list[tuple[str, str]]]:
    """All that a client hears; and what it asked, by ids."""
    late = LateModels(seed, failures, incremental)
    wire = RealtimeOutput("s", session)
    said: list[tuple[str, str]] = []
    with StreamDriver(late.models(), session.options) as pump:
        intake = RealtimeInput(pump, session)
        pcm = (samples * 32767).astype("<i2").tobytes()
        places = sorted((len(samples) * percent // 100, kind) for percent, kind in asks)
        start = 0
        for at, kind in [*places, (len(samples), "")]:
            for piece in range(start, at, 4_000):
                intake.receive(pcm[2 * piece : 2 * min(at, piece + 4_000)])
                late.answer_some()
            start = at
            if kind in TURNS:
                said.append((f"event_{len(said)}", "update"))
                intake.receive(json.dumps({"type": "session.update", "session": TURNS[kind]}))
            elif kind:
                said.append((f"event_{len(said)}", kind))
                intake.receive(json.dumps(asked(*said[-1])))
            late.answer_some()
        intake.finish(end)
        late.answer_all()
        told = [message async for event in pump.events() for message in wire.messages_of(event)]
    return [{"type": "session.created"}, *told], said


def read(messages: list[Message], **kind: bool) -> Reader:
    reader = Reader(**kind)
    for message in messages:
        reader.hear(message)
    reader.end()
    return reader


@examples(60)
@given(
    runs,
    asks,
    st.integers(0, 99),
    st.sampled_from([0.0, 0.3]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(Reason),
    st.sampled_from([1_000, 30_000]),
)
async def test_whatever_is_said_and_asked_the_order_holds_and_replies_come_in_the_order_of_what_was_asked(
    runs: list[tuple[bool, int]],
    asks: list[tuple[int, str]],
    seed: int,
    failures: float,
    live: bool,
    incremental: bool,
    end: Reason,
    max_segment_ms: int,
) -> None:
    defaults = SessionOptions(vad=VadOptions(max_segment_ms=max_segment_ms))
    session = replace(PLAIN, always_live=live, defaults=defaults)
    models: dict[str, Any] = {"failures": failures, "incremental": incremental}
    messages, said = await converse(sound(*runs), asks, seed, session=session, end=end, **models)
    reader = read(messages, live=live)
    commits = {event_id for event_id, kind in said if kind == "commit"}
    replies = [told for told in reader.replies if told[0] != "input_audio_buffer.timeout_triggered"]
    assert [told for told in replies if told[1] not in commits] == [
        due for due in (reply(*each) for each in said) if due is not None
    ]
    refused = {event_id for type_, event_id in replies if type_ == "error"} & commits
    assert len(commits - refused) <= len(reader.committed)
    places = [int(place) for text in reader.transcripts.values() for place in re.findall(r"(\d+):\d", text)]
    assert places == sorted(places)
    order = [event_id for event_id, _ in said]
    told_ids = [event_id for type_, event_id in replies if type_ == "error"]
    assert told_ids == sorted(told_ids, key=order.index)


@pytest.mark.parametrize("beta", [False, True])
async def test_three_utterances_are_three_items_in_turn(beta: bool) -> None:
    samples = sound(*[(False, SECOND), (True, SECOND)] * 3, (False, SECOND))
    messages, _ = await converse(samples, [], 1, session=replace(PLAIN, beta=beta))
    reader = read(messages, beta=beta)
    assert [reader.items[item_id].told for item_id in reader.committed] == [["started", "stopped"]] * 3
    assert list(reader.transcripts) == reader.committed
    assert all(text.startswith("w0 w1") for text in reader.transcripts.values())


async def test_by_hand_nothing_is_told_of_speech_and_each_commit_is_one_item() -> None:
    session = PLAIN.merged(MANUAL)
    samples = sound((False, SECOND), (True, SECOND), (False, 2 * SECOND))
    messages, _ = await converse(samples, [(50, "commit"), (75, "commit")], 1, session=session)
    reader = read(messages)
    assert [item.told for item in reader.items.values()] == [[]] * 3
    assert len(reader.transcripts) == 3  # the last when the stream ended
    assert reader.transcripts["item_s_1"].startswith("w0 w1")
    assert reader.transcripts["item_s_2"] == ""


async def test_a_live_session_hears_words_while_they_are_spoken() -> None:
    session = PLAIN.merged(
        {"turn_detection": None, "input_audio_transcription": {"model": "gpt-realtime-whisper"}}
    )
    messages, _ = await converse(sound((True, 12 * SECOND)), [(370, "commit")], 1, session=session)
    read(messages, live=True)
    types = [message["type"].rpartition(".")[2] for message in messages]
    assert types.index("delta") < types.index("committed") < types.index("completed")


async def test_a_long_manual_turn_is_one_item_with_all_its_text() -> None:
    session = PLAIN.merged(MANUAL)
    samples = sound((True, 175 * SECOND))
    messages, _ = await converse(samples, [(100, "commit")], 1, session=session)
    reader = read(messages)
    assert reader.committed == ["item_s_1"]
    pieces = [int(start) for start in re.findall(r"(\d+):\d", reader.transcripts["item_s_1"])]
    assert len(pieces) == reader.transcripts["item_s_1"].count("w0 w1") == 7  # cut between 27 and 30 s
    assert max(map(int.__sub__, pieces[1:], pieces)) <= 30 * SECOND
    (completed,) = (message for message in messages if message["type"] == COMPLETED)
    assert completed["usage"]["seconds"] == 175


async def test_a_live_manual_turn_sends_its_text_as_it_is_spoken() -> None:
    session = replace(PLAIN, always_live=True).merged(MANUAL)
    messages, _ = await converse(sound((True, 95 * SECOND)), [(100, "commit")], 1, session=session)
    reader = read(messages, live=True)
    assert reader.committed == ["item_s_1"]
    types = [message["type"].rpartition(".")[2] for message in messages]
    assert types[: types.index("committed")].count("delta") >= 3


def test_parts_of_a_manual_turn_leave_room_for_more_audio() -> None:
    session = PLAIN.merged(MANUAL)
    late = LateModels(1)
    with StreamDriver(late.models(), session.options) as driver:
        intake = RealtimeInput(driver, session)
        for _ in range(55):
            intake.receive(bytes(2 * SECOND))
            late.answer_detector()
        assert driver.session.count == 2  # one part waits for the recognizer, one is open
        assert driver.has_capacity


# one event after the other


class Told:
    """What a wire tells of events that are given by hand."""

    def __init__(self, session: RealtimeConfig = PLAIN) -> None:
        self.wire = RealtimeOutput("s", session)

    def of(self, *events: Event) -> list[Message]:
        return [message for event in events for message in self.wire.messages_of(event)]

    def types(self, *events: Event) -> list[str]:
        return [message["type"] for message in self.of(*events)]


def final(utterance: int, text: str, clip: Clip = CLIP, **fields: Any) -> FinalTranscript:
    return FinalTranscript(utterance, clip, Reason.SILENCE, Hypothesis(text, **fields))


def spoken(number: int, start: int = 1_600, end: int = 3_200, reason: Reason = Reason.SILENCE) -> list[Event]:
    return [UtteranceStarted(number, start), UtteranceEnded(number, end, reason)]


COMMITTED = ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]
STARTED, STOPPED = "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"
COMPLETED = "conversation.item.input_audio_transcription.completed"
DELTA = "conversation.item.input_audio_transcription.delta"


def test_an_utterance_is_told_of_from_its_start_to_its_text() -> None:
    messages = Told().of(*spoken(1), final(1, "good", language="en"))
    assert [message["type"] for message in messages] == [STARTED, STOPPED, *COMMITTED, DELTA, COMPLETED]
    assert messages[0]["audio_start_ms"] == 100
    assert messages[1]["audio_end_ms"] == 200
    assert messages[3]["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert messages[-1]["usage"] == {"type": "duration", "seconds": 0.1}
    assert messages[-1]["languages"] == [{"code": "en"}]
    assert "logprobs" not in messages[-1]


def test_a_commit_in_the_middle_of_speech_tells_no_stop_and_is_not_answered_twice() -> None:
    told = Told()
    assert told.types(*spoken(1, reason=Reason.COMMIT)) == [STARTED, *COMMITTED]
    assert told.types(NoteReached(CommitReply("mine"), 3_200)) == []


@pytest.mark.parametrize("at", [3_200, 3_200 + 1_599])
def test_a_commit_of_less_than_100_ms_is_an_error_that_names_it(at: int) -> None:
    told = Told()
    told.of(*spoken(1))
    (error,) = told.of(NoteReached(CommitReply("mine"), at))
    assert error["error"]["code"] == "input_audio_buffer_commit_empty"
    assert error["error"]["event_id"] == "mine"
    assert f"only has {(at - 3_200) / 16:.2f}ms" in error["message"]


def test_a_commit_of_silence_is_an_empty_item_that_waits_for_its_turn() -> None:
    told = Told()
    told.of(*spoken(1))
    assert told.types(NoteReached(CommitReply(None), 3_200 + 1_600)) == COMMITTED
    completed = told.of(final(1, "good"))
    assert [message["type"] for message in completed] == [DELTA, COMPLETED, COMPLETED]
    assert completed[-1]["transcript"] == ""
    assert completed[-1]["usage"]["seconds"] == 0.1


def test_after_a_clear_the_buffer_is_empty() -> None:
    told = Told()
    assert told.types(UtteranceStarted(1, 0), AudioCleared(0, 8_000)) == [
        STARTED,
        "input_audio_buffer.cleared",
    ]
    (error,) = told.of(NoteReached(CommitReply(None), 8_000))
    assert error["error"]["code"] == "input_audio_buffer_commit_empty"


def test_words_that_are_certain_come_once_their_item_is_committed_and_alone_in_turn() -> None:
    told = Told()
    told.of(*spoken(1))
    assert told.types(UtteranceStarted(2, 4_000), PartialTranscript(2, 4_000, "how are you", 7)) == [STARTED]
    assert told.types(UtteranceEnded(2, 8_000, Reason.SILENCE)) == [STOPPED, *COMMITTED]
    deltas = [message.get("delta") for message in told.of(final(1, "good"))]
    assert deltas == ["good", None, "how are"]
    last = told.of(final(2, "how are they"))
    assert (last[0]["delta"], last[1]["transcript"]) == (" they", "how are they")


def test_an_utterance_that_failed_is_told_of_in_its_place() -> None:
    told = Told()
    told.of(*spoken(1), *spoken(2))
    (failed,) = told.of(TranscriptionFailed(1, 0, 1_600, "out of memory"))
    assert failed["type"] == "conversation.item.input_audio_transcription.failed"
    assert "out of memory" in failed["error"]["message"]
    assert told.types(final(2, "good")) == [DELTA, COMPLETED]


def test_logprobs_are_those_of_words_where_the_recognizer_is_sure_of_something() -> None:
    session = PLAIN.merged({"include": [LOGPROBS]})
    words = (Word("good", 0, 800, 0.5), Word("day", 800, 1_600, 0.0), Word("all", 1_600, 1_700))
    told = Told(session).of(*spoken(1), final(1, "good day all", words=words))
    good, day = told[-1]["logprobs"]
    assert good == {"token": "good", "logprob": math.log(0.5), "bytes": list(b"good")}
    assert day["logprob"] < -20
    assert Told(session).of(*spoken(1), final(1, "good"))[-1]["logprobs"] is None


def test_logprobs_are_given_as_chosen_when_the_speech_began() -> None:
    asked, words = PLAIN.merged({"include": [LOGPROBS]}), (Word("good", 0, 800, 0.5),)
    told = Told(asked)
    told.of(UtteranceStarted(1, 0), NoteReached(UpdateReply(PLAIN, "session.updated"), 512))
    told.of(UtteranceEnded(1, 1_600, Reason.SILENCE), *spoken(2))
    assert "logprobs" in told.of(final(1, "good", words=words))[-1]
    assert "logprobs" not in told.of(final(2, "good", words=words))[-1]


def idle(milliseconds: int | None) -> RealtimeConfig:
    return PLAIN.merged({"turn_detection": {"type": "server_vad", "idle_timeout_ms": milliseconds}})


def test_when_nobody_speaks_for_as_long_as_the_idle_timeout_that_silence_is_an_item() -> None:
    told = Told(idle(5_000))
    assert told.of(NoteReached(IdleCheck(), 79_999)) == []
    timeout, *rest = told.of(NoteReached(IdleCheck(), 81_000))
    assert timeout["type"] == "input_audio_buffer.timeout_triggered"
    assert (timeout["audio_start_ms"], timeout["audio_end_ms"]) == (0, 5_000)
    assert [message["type"] for message in rest] == [*COMMITTED, COMPLETED]
    assert rest[-1]["item_id"] == timeout["item_id"]
    assert told.of(NoteReached(IdleCheck(), 159_999)) == []


def test_the_idle_timeout_counts_from_the_end_of_speech_and_not_in_it() -> None:
    told = Told(idle(5_000))
    told.of(UtteranceStarted(1, 70_000))
    assert told.of(NoteReached(IdleCheck(), 100_000)) == []
    told.of(UtteranceEnded(1, 110_000, Reason.SILENCE))
    assert told.of(NoteReached(IdleCheck(), 180_000)) == []
    assert told.types(UtteranceStarted(2, 190_000))[0] == "input_audio_buffer.timeout_triggered"


def test_an_idle_timeout_that_is_set_late_counts_from_there() -> None:
    told = Told()
    told.of(NoteReached(UpdateReply(idle(5_000), "session.updated"), 100_000))
    assert told.of(NoteReached(IdleCheck(), 179_999)) == []
    assert len(told.of(NoteReached(IdleCheck(), 180_000))) > 0


def test_settings_hold_from_their_place_on() -> None:
    told = Told()
    manual = PLAIN.merged(MANUAL)
    (updated,) = told.of(NoteReached(UpdateReply(manual, "session.updated"), 0))
    assert updated["session"] == manual.effective()
    assert told.types(*spoken(1)) == COMMITTED


def part(number: int, end: int) -> list[Event]:
    """Cut utterance `number` at its maximum length; the next one continues there."""
    return [UtteranceEnded(number, end, Reason.MAX_DURATION), UtteranceStarted(number + 1, end)]


def test_a_manual_item_is_committed_at_the_commit_alone() -> None:
    told = Told(PLAIN.merged(MANUAL))
    assert told.of(UtteranceStarted(1, 0), *part(1, 1_600), final(1, "good", language="en")) == []
    assert told.types(UtteranceEnded(2, 3_200, Reason.COMMIT)) == [*COMMITTED, DELTA]
    delta, completed = told.of(final(2, "day", language="de", clip=Clip(np.zeros(800, np.float32), 1_600)))
    assert (delta["delta"], completed["transcript"]) == (" day", "good day")
    assert completed["usage"]["seconds"] == 0.2
    assert completed["languages"] == [{"code": "en"}]


def test_the_final_of_a_cleared_part_is_not_told() -> None:
    told = Told(PLAIN.merged(MANUAL))
    told.of(UtteranceStarted(1, 0), *part(1, 1_600), AudioCleared(1_600, 3_200))
    assert told.of(final(1, "good")) == []
    told.of(UtteranceStarted(3, 3_200), UtteranceEnded(3, 4_800, Reason.COMMIT))
    assert told.of(final(3, "day"))[-1]["transcript"] == "day"


def test_a_partial_waits_for_the_parts_before_it() -> None:
    told = Told(replace(PLAIN, always_live=True).merged(MANUAL))
    told.of(UtteranceStarted(1, 0), *part(1, 1_600))
    assert told.of(PartialTranscript(2, 1_600, "day all", 3)) == []
    assert [each["delta"] for each in told.of(final(1, "good"))] == ["good"]
    assert [each["delta"] for each in told.of(PartialTranscript(2, 1_600, "day all", 3))] == [" day"]


def test_a_manual_item_with_a_part_that_failed_is_failed() -> None:
    told = Told(replace(PLAIN, always_live=True).merged(MANUAL))
    told.of(UtteranceStarted(1, 0), PartialTranscript(1, 0, "good day", 4), *part(1, 1_600))
    assert told.of(TranscriptionFailed(1, 0, 1_600, "out of memory")) == []
    told.of(UtteranceEnded(2, 3_200, Reason.COMMIT))
    delta, failed = told.of(final(2, "all"))
    assert delta["delta"] == " all"
    assert failed["type"].endswith(".failed")
    assert "out of memory" in failed["error"]["message"]


def test_a_manual_item_ends_when_its_text_is_too_long() -> None:
    told = Told(PLAIN.merged(MANUAL))
    told.of(UtteranceStarted(1, 0), *part(1, 1_600), final(1, "a" * MAX_ITEM_CHARS))
    assert told.types(*part(2, 3_200)) == [*COMMITTED, DELTA]
    assert told.types(final(2, ""), UtteranceEnded(3, 4_800, Reason.COMMIT), final(3, "b")) == [
        COMPLETED,
        *COMMITTED,
        DELTA,
        COMPLETED,
    ]


def test_speech_cut_under_turn_detection_is_several_items() -> None:
    told = Told()
    told.of(UtteranceStarted(1, 0))
    assert told.types(*part(1, 1_600)) == [STOPPED, *COMMITTED, STARTED]


def test_turn_detection_set_in_a_manual_item_ends_it_at_silence() -> None:
    told = Told(PLAIN.merged(MANUAL))
    told.of(
        UtteranceStarted(1, 0), *part(1, 1_600), NoteReached(UpdateReply(PLAIN, "session.updated"), 1_700)
    )
    assert told.types(UtteranceEnded(2, 3_200, Reason.SILENCE)) == COMMITTED
    assert told.of(final(1, "good"), final(2, "day"))[-1]["transcript"] == "good day"


def test_an_error_that_was_noted_is_told() -> None:
    (error,) = Told().of(NoteReached(ClientError("invalid_json", "no", event_id="mine"), 0))
    assert error["error"]["event_id"] == "mine"


def test_an_item_can_be_retrieved_with_its_sound_and_deleted() -> None:
    told = Told()
    clip = Clip(np.full(1_600, 0.25, np.float32), 1_600)
    told.of(*spoken(1), final(1, "good", clip))
    (retrieved,) = told.of(NoteReached(RetrieveReply("item_s_1", None), 4_000))
    (content,) = retrieved["item"]["content"]
    assert content["transcript"] == "good"
    assert np.frombuffer(base64.b64decode(content["audio"]), "<i2").tolist() == [8192] * 1_600
    assert (
        told.of(NoteReached(DeleteReply("item_s_1", None), 4_000))[0]["type"] == "conversation.item.deleted"
    )
    for note in (RetrieveReply("item_s_1", "mine"), DeleteReply("item_s_1", "mine")):
        (error,) = told.of(NoteReached(note, 4_000))
        assert error["error"]["code"].endswith("_invalid_item_id")
        assert error["error"]["event_id"] == "mine"


def test_an_item_that_was_deleted_early_is_completed_all_the_same() -> None:
    told = Told()
    told.of(*spoken(1), NoteReached(DeleteReply("item_s_1", None), 3_200))
    assert told.types(final(1, "good")) == [DELTA, COMPLETED]
