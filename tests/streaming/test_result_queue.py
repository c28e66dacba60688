"""Test that results and markers leave in the order of speech."""

import numpy as np

from asr.hallucination_filter import FilterThresholds
from asr.recognizer import Hypothesis
from audio.clip import Clip
from streaming.events import Event, FinalTranscript, MarkerReached
from streaming.partials import Partials
from streaming.result_queue import ResultQueue
from streaming.sample_accounting import SampleAccounting
from streaming.utterance import Utterance
from vad.segmenter import Reason


def utterance(number: int, samples: int = 16_000, level: float = 0.3) -> Utterance:
    clip = Clip(np.full(samples, level, np.float32))
    return Utterance(
        number, 0, Partials(0, due=0), clip=clip, reason=Reason.SILENCE, speech_probabilities=[0.95] * 31
    )


def told(results: ResultQueue, accounting: SampleAccounting | None = None) -> list[Event]:
    return list(results.release(FilterThresholds(), accounting or SampleAccounting()))


def test_utterance_waits_for_earlier_utterances() -> None:
    results = ResultQueue()
    first, second = utterance(1), utterance(2)
    results.add(first)
    results.add(second)
    second.outcome = Hypothesis("two")
    assert told(results) == []
    first.outcome = Hypothesis("one")
    assert [event.utterance for event in told(results) if isinstance(event, FinalTranscript)] == [1, 2]
    assert len(results) == 0


def test_marker_waits_only_for_results_before_it() -> None:
    results = ResultQueue()
    open_one = utterance(1)
    results.extend([MarkerReached("a")])
    results.add(open_one)
    results.extend([MarkerReached("b")])
    assert told(results) == [MarkerReached("a")]
    open_one.outcome = Hypothesis("one")
    assert told(results)[-1] == MarkerReached("b")


def test_unrecognised_samples_are_counted() -> None:
    results = ResultQueue()
    waiting = utterance(1, 8_000)
    results.add(waiting)
    assert (results.unrecognised, results.find(1), results.find(2)) == (8_000, waiting, None)
    waiting.outcome = "failed"
    told(results)
    assert (results.unrecognised, results.find(1)) == (0, None)


def test_rejected_segment_counts_as_non_speech() -> None:
    results, accounting = ResultQueue(), SampleAccounting()
    accounting.enter_segment(0, 16_000)
    quiet = utterance(1, level=1e-5)
    quiet.speech_probabilities = [0.5] * 31
    results.add(quiet)
    quiet.outcome = Hypothesis("thank you")
    [event] = told(results, accounting)
    assert isinstance(event, FinalTranscript)
    assert event.hypothesis.text == ""
    assert (accounting.speech, accounting.non_speech) == (0, 16_000)
