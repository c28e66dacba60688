"""Test that every event is encoded as docs/protocol.md describes it."""

from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pybase64
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from asr.recognizer import Hypothesis, Word
from audio.clip import Clip, ms_from_samples
from diarization.speaker_history import SpeakerChange
from server.protocols.native.output import NativeOutput, base64_from_samples, with_audio
from server.protocols.native.session_config import OPTIONAL_EVENTS, ConfigReached, SessionConfig
from streaming.events import (
    AudioCleared,
    Event,
    FinalTranscript,
    LagReported,
    MarkerReached,
    NoteReached,
    PartialTranscript,
    SpeakersRevised,
    StreamClosed,
    TranscriptionFailed,
    UtteranceEnded,
    UtteranceStarted,
)
from streaming.options import SessionOptions
from vad.segmenter import Reason

QUIET = SessionConfig(SessionOptions())
CURIOUS = QUIET.merged({"events": "all"})
CLIP = Clip(np.zeros(1600, np.float32), start=16_000)


def final(text: str = "good morning", number: int = 2) -> FinalTranscript:
    words = (Word("good", 16_000, 16_800, 0.5), Word("morning", 16_800, 17_600))
    return FinalTranscript(number, CLIP, Reason.SILENCE, Hypothesis(text, words, "en", 0.9))


def told(event: Event, config: SessionConfig = CURIOUS) -> dict[str, Any]:
    """Return the message as a client reads it."""
    message: dict[str, Any] = orjson.loads(orjson.dumps(NativeOutput("5f1c", config).message_of(event)))
    return message


EXAMPLES: list[tuple[Event, dict[str, Any]]] = [
    (
        SpeakersRevised(
            (SpeakerChange(2, "A", ((16_000, 16_800, "A"), (16_800, 17_600, "B"))), SpeakerChange(1, "B"))
        ),
        {
            "type": "speakers.revised",
            "items": [
                {
                    "item_id": "item_5f1c_2",
                    "speaker": "A",
                    "words": [
                        {"start_ms": 1000, "end_ms": 1050, "speaker": "A"},
                        {"start_ms": 1050, "end_ms": 1100, "speaker": "B"},
                    ],
                },
                {"item_id": "item_5f1c_1", "speaker": "B"},
            ],
        },
    ),
    (
        UtteranceStarted(2, 51_360),
        {"type": "input_audio_buffer.speech_started", "item_id": "item_5f1c_2", "audio_start_ms": 3210},
    ),
    (
        UtteranceEnded(2, 65_536, Reason.SILENCE),
        {
            "type": "input_audio_buffer.speech_stopped",
            "item_id": "item_5f1c_2",
            "audio_end_ms": 4096,
            "reason": "silence",
        },
    ),
    (
        PartialTranscript(2, 51_360, "good mourn", 4),
        {
            "type": "transcript.partial",
            "item_id": "item_5f1c_2",
            "text": "good mourn",
            "stable_chars": 4,
            "start_ms": 3210,
        },
    ),
    (
        final(),
        {
            "type": "response.audio_transcript.done",
            "transcript": "good morning",
            "audio": "AAAA" * 1066 + "AAA=",
            "sample_rate": 16000,
            "item_id": "item_5f1c_2",
            "previous_item_id": "item_5f1c_1",
            "response_id": "resp_5f1c_2",
            "output_index": 0,
            "content_index": 0,
            "start_ms": 1000,
            "end_ms": 1100,
            "language": "en",
            "language_probability": None,
            "confidence": 0.9,
            "reason": "silence",
            "guard": None,
            "ignored": [],
        },
    ),
    (
        AudioCleared(51_360, 61_600),
        {"type": "input_audio_buffer.cleared", "start_ms": 3210, "dropped_ms": 640},
    ),
    (MarkerReached("question-7"), {"type": "marker", "id": "question-7"}),
    (
        StreamClosed(979_200, 557_056, 411_904, 10_240, 12),
        {
            "type": "session.closed",
            "received_ms": 61200,
            "speech_ms": 34816,
            "non_speech_ms": 25744,
            "dropped_ms": 640,
            "segments": 12,
        },
    ),
    (LagReported(1200), {"type": "server.lag", "lag_ms": 1200}),
]


@pytest.mark.parametrize(("event", "message"), EXAMPLES, ids=[type(event).__name__ for event, _ in EXAMPLES])
def test_event_has_the_documented_fields(event: Event, message: dict[str, Any]) -> None:
    assert told(event) == message


def test_failure_takes_the_place_of_the_final() -> None:
    message = told(TranscriptionFailed(2, 16_000, 17_600, "ModelDied: twice"), QUIET)
    assert message["type"] == "error"
    assert message["item_id"] == "item_5f1c_2"
    assert (message["start_ms"], message["end_ms"]) == (1000, 1100)
    assert message["error"]["code"] == "transcription_failed"
    assert message["error"]["type"] == "server_error"
    assert message["message"] == message["error"]["message"]
    assert "ModelDied: twice" in message["message"]


@pytest.mark.parametrize("event", [event for event, _ in EXAMPLES], ids=lambda event: type(event).__name__)
def test_finals_and_replies_need_no_subscription(event: Event) -> None:
    heard = NativeOutput("5f1c", QUIET).message_of(event) is not None
    assert heard == isinstance(event, FinalTranscript | MarkerReached)


@pytest.mark.parametrize("type_", sorted(OPTIONAL_EVENTS - {"session.created"}))
def test_each_type_can_be_subscribed_alone(type_: str) -> None:
    config = QUIET.merged({"events": [type_]})
    messages = (NativeOutput("5f1c", config).message_of(event) for event, _ in EXAMPLES)
    types = {message["type"] for message in messages if message is not None}
    always = {"response.audio_transcript.done", "marker"}
    elsewhere = {"input_audio_buffer.acknowledged"}  # sent by the input, without an event
    assert types == always | ({type_} - elsewhere)


def test_empty_final_is_sent_to_subscribers_only() -> None:
    assert NativeOutput("5f1c", QUIET).message_of(final("")) is None
    assert NativeOutput("5f1c", QUIET.merged({"events": ["session.closed"]})).message_of(final("")) is None
    following = QUIET.merged({"events": ["input_audio_buffer.speech_started"]})
    assert told(final(""), following)["transcript"] == ""


def test_overlapping_speech_is_marked_where_speakers_are_wanted() -> None:
    said = final()
    first, second = said.hypothesis.words
    words = (replace(first, speaker="A"), replace(second, speaker="B", overlap=True))
    said = replace(said, hypothesis=replace(said.hypothesis, words=words), speaker="A", overlap=True)
    wanted = told(said, QUIET.merged({"diarize": True, "words": True}))
    assert wanted["overlap"] is True
    assert [word.get("overlap") for word in wanted["words"]] == [None, True]
    assert "overlap" not in told(said, QUIET.merged({"words": True}))
    assert "overlap" not in told(final(), QUIET.merged({"diarize": True}))


def test_first_utterance_has_no_previous_item() -> None:
    assert told(final(number=1))["previous_item_id"] is None


@pytest.mark.parametrize("speaker", ["B", None])
def test_partial_has_its_speaker_on_request(speaker: str | None) -> None:
    partial = PartialTranscript(2, 51_360, "good mourn", 4, speaker=speaker)
    events = {"events": ["transcript.partial"]}
    assert told(partial, QUIET.merged({"diarize": True, **events}))["speaker"] == speaker
    assert "speaker" not in told(partial, QUIET.merged(events))


def test_audio_and_words_depend_on_the_options() -> None:
    message = told(final(), QUIET.merged({"include_audio": False, "words": True}))
    assert "audio" not in message
    assert message["words"] == [
        {"word": "good", "start_ms": 1000, "end_ms": 1050, "confidence": 0.5},
        {"word": "morning", "start_ms": 1050, "end_ms": 1100, "confidence": None},
    ]
    assert "words" not in told(final(), QUIET)


@given(arrays.arrays(np.float32, st.integers(0, 50), elements=st.floats(-1, 1, width=32)))
def test_audio_is_exact_within_one_pcm16_step(samples: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    pcm = np.frombuffer(pybase64.b64decode(base64_from_samples(samples), validate=True), "<i2")
    assert len(pcm) == len(samples)
    assert (np.abs(pcm / 32768 - samples.astype(float)) <= 1 / 32768).all()


@given(arrays.arrays(np.dtype("<i2"), st.integers(0, 50)))
def test_pcm16_audio_is_returned_exactly(pcm: np.ndarray[Any, np.dtype[np.int16]]) -> None:
    samples = pcm * np.float32(1 / 32768)
    assert pybase64.b64decode(base64_from_samples(samples)) == pcm.tobytes()


@pytest.mark.parametrize("loud", [1.0, 1.5, -1.5])
def test_loud_audio_is_clipped_and_does_not_wrap(loud: float) -> None:
    (sample,) = np.frombuffer(
        pybase64.b64decode(base64_from_samples(np.array([loud], np.float32))), "<i2"
    ).tolist()
    assert sample == (32767 if loud > 0 else -32768)


samples = st.integers(0, 10**12)


@given(speech=samples, non_speech=samples, dropped=samples)
def test_closing_sums_add_up_in_milliseconds(speech: int, non_speech: int, dropped: int) -> None:
    message = told(StreamClosed(speech + non_speech + dropped, speech, non_speech, dropped, 1))
    parts = [message["speech_ms"], message["non_speech_ms"], message["dropped_ms"]]
    assert sum(parts) == message["received_ms"] == ms_from_samples(speech + non_speech + dropped)
    for part, exact in zip(parts, (speech, non_speech, dropped), strict=True):
        assert part >= 0
        assert abs(part - exact / 16) <= 1.5
    assert message["dropped_ms"] == told(AudioCleared(0, dropped))["dropped_ms"]


def test_message_with_restored_audio_is_identical() -> None:
    sound = np.array([0.5, -0.25], np.float32)
    told = {"type": "done", "audio": base64_from_samples(sound), "seq": 4}
    assert list(with_audio({**told, "audio": None}, sound).items()) == list(told.items())
    assert with_audio({**told, "audio": None}, None) == {"type": "done", "seq": 4}


def test_final_keeps_the_options_of_its_utterance() -> None:
    chosen = QUIET.merged({"words": True, "include_audio": True})
    output = NativeOutput("5f1c", chosen)
    output.message_of(UtteranceStarted(2, 16_000))
    output.message_of(NoteReached(ConfigReached(QUIET.merged({"include_audio": False})), 16_512))
    output.message_of(UtteranceEnded(2, 17_600, Reason.SILENCE))
    output.message_of(UtteranceStarted(3, 17_600))
    first, second = output.message_of(final()), output.message_of(final(number=3))
    assert first is not None
    assert {"words", "audio"} <= first.keys()
    assert second is not None
    assert not {"words", "audio"} & second.keys()
    assert output.captured == {}


def test_failed_or_cleared_utterance_frees_its_options() -> None:
    output = NativeOutput("5f1c", QUIET)
    for number in (1, 2, 3):
        output.message_of(UtteranceStarted(number, 0))
    output.message_of(TranscriptionFailed(2, 0, 1600, "ModelDied"))
    assert list(output.captured) == [3]


def test_fields_have_their_order_on_the_wire() -> None:
    message = NativeOutput("5f1c", CURIOUS.merged({"words": True})).message_of(final())
    assert message is not None
    text = orjson.dumps({**message, "audio": "AAAA"})
    assert text == (
        b'{"type":"response.audio_transcript.done","transcript":"good morning","sample_rate":16000,'
        b'"item_id":"item_5f1c_2","previous_item_id":"item_5f1c_1","response_id":"resp_5f1c_2",'
        b'"output_index":0,"content_index":0,"start_ms":1000,"end_ms":1100,"language":"en",'
        b'"language_probability":null,"confidence":0.9,"reason":"silence","guard":null,"ignored":[],'
        b'"audio":"AAAA","words":[{"word":"good","start_ms":1000,"end_ms":1050,"confidence":0.5},'
        b'{"word":"morning","start_ms":1050,"end_ms":1100,"confidence":null}]}'
    )


@pytest.mark.parametrize("event", [event for event, _ in EXAMPLES if not isinstance(event, FinalTranscript)])
def test_order_of_fields_is_that_of_the_documents(event: Event) -> None:
    (example,) = (message for each, message in EXAMPLES if each is event)
    assert list(told(event)) == list(example)
