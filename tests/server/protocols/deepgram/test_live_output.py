"""A session's events in the words of Deepgram's live API."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Hypothesis, ModelInfo, Word
from audio.clip import Clip
from server.connection.protocol import Message
from server.protocols.deepgram.live_output import DeepgramOutput, ModelMetadata, UtteranceEndTimer, timestamp
from server.protocols.deepgram.options import parse_options
from streaming.events import (
    AudioCleared,
    Event,
    FinalTranscript,
    MarkerReached,
    NoteReached,
    PartialTranscript,
    StreamClosed,
    TranscriptionFailed,
    UtteranceEnded,
    UtteranceStarted,
)
from streaming.options import SessionOptions
from streaming.session import Session
from tests.examples import examples
from tests.streaming.fakes import Ask, play, sound
from vad.segmenter import Reason

SECOND = 16_000
LAG = 1536  # three hops of speech make an onset
MODEL = ModelMetadata.of(ModelInfo("org/model", "auto", "ctc", "cpu", "float32"))
SAID = Hypothesis(
    "Good morning.", (Word("Good", 16_000, 20_000, 0.9), Word("morning.", 20_000, 28_000, 0.7)), "en", 0.8
)


def wire(**query: str) -> DeepgramOutput:
    asked = parse_options(query.items(), SessionOptions())
    return DeepgramOutput(asked, MODEL, "5f1c", "2026-01-02T03:04:05.678Z")


def told(to: DeepgramOutput, *events: Event) -> list[Message]:
    return [message for event in events for message in to.messages_of(event, "sha")]


def final(reason: Reason = Reason.SILENCE, said: Hypothesis = SAID, start: int = SECOND) -> FinalTranscript:
    return FinalTranscript(1, Clip(np.zeros(SECOND, np.float32), start), reason, said)


def started(at: int = SECOND) -> UtteranceStarted:
    return UtteranceStarted(1, at)


def test_a_final_has_all_that_the_sdks_type_asks_for() -> None:
    results = told(wire(punctuate="true"), started(), final())
    assert results == [
        {
            "type": "Results",
            "channel_index": (0, 1),
            "duration": 1.0,
            "start": 1.0,
            "is_final": True,
            "speech_final": True,
            "channel": {
                "alternatives": [
                    {
                        "transcript": "Good morning.",
                        "confidence": 0.8,
                        "words": [
                            {
                                "word": "good",
                                "start": 1.0,
                                "end": 1.25,
                                "confidence": 0.9,
                                "punctuated_word": "Good",
                            },
                            {
                                "word": "morning",
                                "start": 1.25,
                                "end": 1.75,
                                "confidence": 0.7,
                                "punctuated_word": "morning.",
                            },
                        ],
                    }
                ]
            },
            "metadata": {
                "request_id": "5f1c",
                "model_info": {"name": "org/model", "version": "", "arch": "ctc"},
                "model_uuid": MODEL.uuid,
            },
            "from_finalize": False,
        }
    ]


def test_who_asked_for_no_signs_gets_none() -> None:
    (results,) = told(wire(), started(), final())
    (alternative,) = results["channel"]["alternatives"]
    assert alternative["transcript"] == "good morning"
    assert "punctuated_word" not in alternative["words"][0]


@pytest.mark.parametrize(
    ("reason", "endpointing", "over"),
    [
        (Reason.SILENCE, "300", True),
        (Reason.SILENCE, "false", False),
        (Reason.MAX_DURATION, "300", False),
        (Reason.COMMIT, "false", True),
        (Reason.END_OF_STREAM, "false", True),
    ],
)
def test_speech_is_final_where_a_silence_or_the_client_ended_it(
    reason: Reason, endpointing: str, over: bool
) -> None:
    (results,) = told(wire(endpointing=endpointing), started(), final(reason))
    assert results["is_final"] is True
    assert results["speech_final"] is over
    assert results["from_finalize"] is (reason is Reason.COMMIT)


def test_interim_results_say_how_far_they_heard_and_are_for_who_wants_them() -> None:
    partial = PartialTranscript(1, SECOND, "good mourn", 4, 3 * SECOND)
    assert told(wire(), partial) == []
    (interim,) = told(wire(interim_results="true"), partial)
    assert (interim["start"], interim["duration"]) == (1.0, 2.0)
    assert not interim["is_final"]
    assert not interim["speech_final"]
    (alternative,) = interim["channel"]["alternatives"]
    assert alternative["transcript"] == "good mourn"
    assert alternative["words"][-1]["end"] == 3.0


def test_an_interim_without_words_is_not_worth_a_message() -> None:
    assert told(wire(interim_results="true"), PartialTranscript(1, 0, "...", 0, SECOND)) == []


def test_speech_is_announced_to_who_wants_it() -> None:
    assert told(wire(), started()) == []
    assert told(wire(vad_events="true"), started()) == [
        {"type": "SpeechStarted", "channel": (0, 1), "timestamp": 1.0}
    ]


def test_the_end_of_an_utterance_is_told_when_the_gap_has_passed() -> None:
    waiting = wire(utterance_end_ms="1000")
    assert len(told(waiting, started(), UtteranceEnded(1, 2 * SECOND, Reason.SILENCE), final())) == 1
    assert told(waiting, NoteReached(None, 44_000 + LAG - 1)) == []
    assert told(waiting, NoteReached(None, 44_000 + LAG)) == [
        {"type": "UtteranceEnd", "channel": (0, 1), "last_word_end": 1.75}
    ]


def test_the_end_of_an_utterance_is_told_before_the_next_begins() -> None:
    waiting = wire(utterance_end_ms="1000", vad_events="true")
    told(waiting, started(), final())
    assert [m["type"] for m in told(waiting, started(5 * SECOND))] == ["UtteranceEnd", "SpeechStarted"]


def test_a_finalize_with_nothing_open_has_an_empty_answer() -> None:
    finalized = wire()
    told(finalized, started(), final())
    (answer,) = told(finalized, MarkerReached(""))
    assert answer["from_finalize"]
    assert answer["is_final"]
    assert (answer["start"], answer["duration"]) == (2.0, 0.0)
    assert answer["channel"]["alternatives"] == [{"transcript": "", "confidence": 0.0, "words": []}]


def test_a_finalize_that_ended_speech_has_no_second_answer() -> None:
    finalized = wire()
    assert len(told(finalized, started(), final(Reason.COMMIT), MarkerReached(""))) == 1
    assert len(told(finalized, MarkerReached(""))) == 1


def test_a_failed_utterance_is_an_error_and_a_result_without_text() -> None:
    error, results = told(wire(), started(), TranscriptionFailed(1, SECOND, 2 * SECOND, "why"))
    assert error["type"] == "Error"
    assert "why" in error["description"]
    assert (results["type"], results["start"], results["duration"]) == ("Results", 1.0, 1.0)
    assert results["is_final"]


def test_options_that_the_recognizer_cannot_honour_are_named() -> None:
    (results,) = told(wire(), started(), final(said=Hypothesis("a", ignored=("hotwords",))))
    assert results["metadata"]["ignored"] == ("hotwords",)


def test_the_metadata_sums_up() -> None:
    (metadata,) = told(wire(), StreamClosed(24_000, 0, 24_000, 0, 0))
    assert metadata == {
        "type": "Metadata",
        "transaction_key": "deprecated",
        "request_id": "5f1c",
        "sha256": "sha",
        "created": "2026-01-02T03:04:05.678Z",
        "duration": 1.5,
        "channels": 1,
        "models": [MODEL.uuid],
        "model_info": {MODEL.uuid: MODEL.info},
    }


def test_nobody_is_told_of_what_nobody_asked() -> None:
    assert told(wire(), UtteranceEnded(1, 5, Reason.SILENCE), NoteReached(None, 99), AudioCleared(0, 0)) == []


def test_a_moment_is_written_in_utc() -> None:
    assert timestamp(datetime(2026, 1, 2, 3, 4, 5, 678_900, UTC)) == "2026-01-02T03:04:05.678Z"


def finalize(session: Session) -> None:
    session.receive_commit()
    session.receive_marker("")


def note(session: Session) -> None:
    session.receive_note(None)


@examples(30)
@given(
    runs=st.lists(st.tuples(st.booleans(), st.integers(200, 30_000)), min_size=1, max_size=6),
    finalizes=st.lists(st.integers(0, 160_000), max_size=5),
    wait_ms=st.sampled_from(["0", "400", "1000"]),
    seed=st.integers(0, 1_000),
)
def test_results_come_in_order_cover_what_was_said_once_and_answer_each_finalize(
    runs: list[tuple[bool, int]], finalizes: list[int], wait_ms: str, seed: int
) -> None:
    samples = sound(*runs)
    places = [min(at, len(samples)) for at in finalizes]
    asks: list[tuple[int, Ask]] = [(at, finalize) for at in places]
    asks += [(at, note) for at in range(4000, len(samples), 4000)]
    asked = {"interim_results": "true", "utterance_end_ms": wait_ms, "vad_events": "true"}
    options = parse_options(asked.items(), SessionOptions()).session
    events = play(samples, range(0, len(samples), 3200), asks, seed=seed, options=options)
    listener = wire(**asked)
    messages = []
    answers = []
    for event in events:
        messages += told(listener, event)
        if isinstance(event, MarkerReached):
            answers.append(sum(m.get("from_finalize", False) for m in messages))

    assert answers == list(range(1, len(places) + 1))
    ended = [m for m in messages if m.get("is_final")]
    spoken = [m for m in ended if m["duration"] > 0]
    finals = [event for event in events if isinstance(event, FinalTranscript)]
    assert len(spoken) == len(finals)
    for one, other in pairwise(ended):
        assert one["start"] + one["duration"] <= other["start"] + 0.0011  # both were rounded
    heard = {event.utterance: event.clip.end for event in finals}
    assert all(e.start < e.end <= heard[e.utterance] for e in events if isinstance(e, PartialTranscript))
    assert messages[-1]["type"] == "Metadata"
    ends = [m["last_word_end"] for m in messages if m["type"] == "UtteranceEnd"]
    assert ends == sorted(set(ends))
    assert set(silent_ends(events, int(wait_ms) * 16)) <= set(ends) <= {end for end, _ in word_ends(events)}


def word_ends(events: list[Event]) -> Iterator[tuple[float, int]]:
    """Of each text its end, in seconds, and how long nothing was heard behind it, in samples."""
    heard_until = max((event.at for event in events if isinstance(event, NoteReached)), default=0) - LAG
    starts = {event.utterance: event.at for event in events if isinstance(event, UtteranceStarted)}
    said = [event for event in events if isinstance(event, FinalTranscript) and event.hypothesis.text]
    following = [*(starts[each.utterance] for each in said[1:]), heard_until]
    for each, end_of_gap in zip(said, following, strict=False):
        yield round(each.clip.end / SECOND, 3), end_of_gap - each.clip.end


def silent_ends(events: list[Event], wait: int) -> list[float]:
    """Those behind which it was silent for as long as was asked: that must have been told."""
    return [end for end, silence in word_ends(events) if silence >= wait]


def test_the_gap_is_told_once_when_it_is_long_enough() -> None:
    gap = UtteranceEndTimer(100)
    assert gap.begin(0) is None
    assert gap.conclude(500) is None
    assert [gap.reach(at) for at in (550, 599, 600, 700)] == [None, None, 500, None]


def test_the_next_utterance_ends_the_gap() -> None:
    gap = UtteranceEndTimer(100)
    gap.begin(0)
    gap.conclude(500)
    assert gap.begin(560) is None
    assert gap.reach(900) is None
    assert gap.conclude(850) is None
    assert gap.reach(950) == 850


def test_an_utterance_without_words_does_not_end_it() -> None:
    gap = UtteranceEndTimer(100)
    gap.begin(0)
    gap.conclude(500)
    gap.begin(560)
    assert gap.reach(700) is None
    assert gap.conclude(None) == 500


def test_a_text_that_comes_late_finds_its_gap_all_the_same() -> None:
    gap = UtteranceEndTimer(100)
    gap.begin(0)
    gap.begin(800)
    gap.reach(900)
    assert gap.conclude(500) == 500


def test_where_nothing_was_said_there_is_nothing_to_tell() -> None:
    gap = UtteranceEndTimer(100)
    gap.begin(0)
    assert gap.conclude(None) is None
    assert gap.reach(10_000) is None


def test_who_did_not_ask_is_told_nothing() -> None:
    gap = UtteranceEndTimer(None)
    gap.begin(0)
    gap.conclude(500)
    assert gap.reach(10_000) is None


def spoken_by(speaker: str) -> FinalTranscript:
    words = tuple(replace(word, speaker=speaker) for word in SAID.words)
    return replace(final(said=replace(SAID, words=words)), speaker=speaker)


def numbers(message: Message) -> list[int | None]:
    return [word.get("speaker") for word in message["channel"]["alternatives"][0]["words"]]


def test_words_have_the_numbers_of_the_speakers_on_request() -> None:
    output = wire(diarize="true", interim_results="true")
    before, first, partial, last = told(
        output,
        started(),
        PartialTranscript(1, SECOND, "Good", 0, 2 * SECOND),
        spoken_by("B"),
        started(4 * SECOND),
        PartialTranscript(2, 4 * SECOND, "Yes", 0, 5 * SECOND),
        replace(final(said=Hypothesis("Yes")), speaker="A"),
    )
    assert [numbers(each) for each in (before, first, partial, last)] == [[0], [1, 1], [1], [0]]
    assert numbers(told(wire(), started(), spoken_by("B"))[0]) == [None, None]


def test_interim_has_the_speaker_who_probably_speaks_if_one_is_known() -> None:
    output = wire(diarize="true", interim_results="true")
    partial = PartialTranscript(2, 4 * SECOND, "Yes", 0, 5 * SECOND)
    told(output, started(), spoken_by("B"), started(4 * SECOND))
    found = told(output, partial, replace(partial, speaker="A"))
    assert [numbers(each) for each in found] == [[1], [0]]
