"""Test the formats of a response."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from asr.recognizer import Hypothesis, TranscriptionOptions, Word
from server.errors import ApiError
from server.protocols.openai_audio.request import TranscriptionRequest
from server.protocols.openai_audio.response import SseTranscript, render
from streaming.options import SessionOptions
from tests.server.asgi_calls import events_of
from transcripts.transcript import FilteredText, Transcript, TranscriptSegment

SECOND = 16_000
HELLO = TranscriptSegment(
    SECOND,
    2 * SECOND,
    Hypothesis(
        "hello there",
        (Word("hello", SECOND, SECOND + 1600, 0.5), Word("there", SECOND + 1600, 2 * SECOND, 0.25)),
        "en",
        avg_log_prob=-0.25,
        no_speech_probability=0.125,
        ignored=("prompt",),
    ),
)
AGAIN = TranscriptSegment(3 * SECOND, 4 * SECOND, Hypothesis("and again"))
TRANSCRIPT = Transcript("", "little", (HELLO, AGAIN))
EMPTY = Transcript("", "little", ())
ASKED = TranscriptionRequest("whisper-1", SessionOptions())


def document(transcript: Transcript = TRANSCRIPT, **asked: Any) -> Any:
    body, kind = render(replace(ASKED, **asked), transcript, 4.25)
    assert kind == "application/json"
    return json.loads(body)


def test_json_has_text_language_usage_and_model() -> None:
    assert document() == {
        "text": "hello there and again",
        "usage": {"type": "duration", "seconds": 5},
        "model": "little",
        "languages": [{"code": "en"}],
        "ignored": ["prompt"],
    }


@pytest.mark.parametrize("form", ["json", "verbose_json", "diarized_json"])
def test_filtered_texts_are_named(form: str) -> None:
    silent = Transcript("", "little", (), (FilteredText(SECOND, 2 * SECOND, "phantom"),))
    assert document(silent, format=form)["filtered"] == [{"start": 1.0, "end": 2.0, "guard": "phantom"}]
    assert "filtered" not in document(format=form)


def test_words_are_ignored_only_if_they_were_asked_for() -> None:
    """Documents with segments request the times of words to end a segment with a sentence."""
    spoken = Transcript("", "m", (TranscriptSegment(0, SECOND, Hypothesis("hello", ignored=("words",))),))
    assert "ignored" not in document(spoken, format="verbose_json")
    for asked in ({"words": True}, {"logprobs": True}):
        answer = document(spoken, format="verbose_json", **asked)
        assert answer["ignored"] == ["timestamp_granularities"]


def test_silence_is_an_empty_text() -> None:
    assert document(EMPTY) == {
        "text": "",
        "usage": {"type": "duration", "seconds": 5},
        "model": "little",
    }


def test_a_segment_of_verbose_json_has_all_ten_fields() -> None:
    told = document(format="verbose_json")
    assert (told["task"], told["language"], told["duration"]) == ("transcribe", "english", 4.25)
    assert told["segments"][0] == {
        "id": 0,
        "seek": 100,
        "start": 1.0,
        "end": 2.0,
        "text": " hello there",
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": -0.25,
        "compression_ratio": HELLO.hypothesis.compression_ratio,
        "no_speech_prob": 0.125,
    }
    assert told["segments"][1].keys() == told["segments"][0].keys()
    assert "words" not in told


def test_a_segment_without_spaces_in_its_script_begins_without_one() -> None:
    japanese = TranscriptSegment(0, SECOND, Hypothesis("\u3053\u3093", language="ja"))
    told = document(Transcript("", "little", (japanese,)), format="verbose_json")
    assert told["segments"][0]["text"] == "\u3053\u3093"


def test_words_and_segments_are_included_on_request() -> None:
    told = document(format="verbose_json", words=True, segments=False)
    assert told["words"][0] == {"word": "hello", "start": 1.0, "end": 1.1}
    assert "segments" not in told


def test_the_confidence_replaces_a_missing_log_probability() -> None:
    sure = TranscriptSegment(0, SECOND, Hypothesis("yes", confidence=0.5))
    told = document(Transcript("", "little", (sure,)), format="verbose_json")
    assert told["segments"][0]["avg_logprob"] == math.log(0.5)


def test_the_language_is_that_of_most_of_the_speech() -> None:
    german = TranscriptSegment(5 * SECOND, 9 * SECOND, Hypothesis("ja", language="de"))
    most = Transcript("", "little", (HELLO, german))
    assert document(most)["languages"] == [{"code": "de"}]
    french = SessionOptions(asr=TranscriptionOptions(language="fr"))
    assert document(EMPTY, session=french)["languages"] == [{"code": "fr"}]
    assert document(EMPTY, format="verbose_json")["language"] == "unknown"


def test_a_translation_is_always_english() -> None:
    german = Transcript("", "little", (TranscriptSegment(0, SECOND, Hypothesis("yes", language="de")),))
    session = SessionOptions(asr=TranscriptionOptions(task="translate"))
    told = document(german, format="verbose_json", session=session)
    assert (told["task"], told["language"]) == ("translate", "english")


def test_logprobs_are_those_of_words() -> None:
    told = document(logprobs=True)["logprobs"]
    assert told == [
        {"token": "hello", "logprob": math.log(0.5), "bytes": list(b"hello")},
        {"token": " there", "logprob": math.log(0.25), "bytes": list(b" there")},
    ]
    assert "logprobs" not in document(Transcript("", "little", (AGAIN,)), logprobs=True)


def test_diarized_json_has_one_speaker() -> None:
    told = document(format="diarized_json")
    assert [each["id"] for each in told["segments"]] == ["seg_001", "seg_002"]
    assert {each["speaker"] for each in told["segments"]} == {"A"}
    assert told["segments"][0] | {} == {
        "type": "transcript.text.segment",
        "id": "seg_001",
        "start": 1.0,
        "end": 2.0,
        "text": "hello there",
        "speaker": "A",
    }


@pytest.mark.parametrize(
    ("form", "beginning"),
    [
        ("text", "hello there and again\n"),
        ("srt", "1\n00:00:01,000 --> 00:00:02,000\nhello there\n"),
        ("vtt", "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nhello there\n"),
    ],
)
def test_texts_are_plain(form: Any, beginning: str) -> None:
    body, kind = render(replace(ASKED, format=form), TRANSCRIPT, 4.25)
    assert kind == "text/plain; charset=utf-8"
    assert body.decode().startswith(beginning)


def told_events(**asked: Any) -> list[dict[str, Any]]:
    told = SseTranscript(replace(ASKED, stream=True, **asked))
    parts = [*map(told.segment, TRANSCRIPT.segments), told.done(TRANSCRIPT, 4.25)]
    return events_of(b"".join(parts).decode())


def test_deltas_add_up_to_the_final_text() -> None:
    *deltas, done = told_events()
    assert {each["type"] for each in deltas} == {"transcript.text.delta"}
    assert "".join(each["delta"] for each in deltas) == done["text"] == TRANSCRIPT.text
    assert done["type"] == "transcript.text.done"
    assert "usage" not in done


def test_logprobs_of_deltas_add_up_to_the_final_ones() -> None:
    *deltas, done = told_events(logprobs=True)
    assert [one for each in deltas for one in each.get("logprobs", [])] == done["logprobs"]


def test_a_diarized_stream_has_segments() -> None:
    types = [each["type"] for each in told_events(format="diarized_json")]
    assert types == ["transcript.text.delta", "transcript.text.segment"] * 2 + ["transcript.text.done"]


def test_a_failure_is_an_error_event() -> None:
    (event,) = events_of(SseTranscript.error(ApiError(500, "broken", code="transcription_failed")).decode())
    assert event["error"]["message"] == "broken"
