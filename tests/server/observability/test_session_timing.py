"""Test the time from the end of speech to its final."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Hypothesis
from audio.clip import HOP, Clip
from server.observability.metrics import Metrics
from server.observability.session_timing import MAX_NOTES, NOTE_INTERVAL, SampleArrivals, SessionTiming
from streaming.events import FinalTranscript, TranscriptionFailed, UtteranceEnded
from tests.server.observability.test_metrics import values
from vad.segmenter import Reason

SECOND = 16_000


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def final(number: int, reason: Reason) -> FinalTranscript:
    return FinalTranscript(number, Clip(np.zeros(HOP, np.float32)), reason, Hypothesis("good"))


def latencies(metrics: Metrics) -> dict[str, float]:
    """Return sums and counts."""
    read = values(metrics.text().decode())
    name = "stt_final_latency_seconds"
    return {
        k.removeprefix(name): v for k, v in read.items() if k.startswith((f"{name}_sum", f"{name}_count"))
    }


def test_latency_starts_at_the_last_speech_of_the_segment() -> None:
    clock, metrics = Clock(), Metrics()
    observer = SessionTiming(metrics, clock)
    for second in range(1, 4):
        clock.now = 100.0 + second
        observer.audio_received(second * SECOND)
    observer.event_sent(UtteranceEnded(1, 2 * SECOND + 3 * HOP, Reason.SILENCE))
    clock.now = 103.5
    observer.event_sent(final(1, Reason.SILENCE))
    assert latencies(metrics) == {"_sum/silence": 1.5, "_count/silence": 1}


def test_latency_starts_at_the_commit_or_cut() -> None:
    clock, metrics = Clock(), Metrics()
    observer = SessionTiming(metrics, clock)
    clock.now = 120.0
    observer.event_sent(UtteranceEnded(1, SECOND, Reason.COMMIT))
    clock.now = 120.25
    observer.event_sent(final(1, Reason.COMMIT))
    assert latencies(metrics) == {"_sum/commit": 0.25, "_count/commit": 1}


def test_utterances_of_channels_are_timed_apart() -> None:
    clock, metrics = Clock(), Metrics()
    observer = SessionTiming(metrics, clock)
    observer.event_sent(UtteranceEnded(1, SECOND, Reason.COMMIT, channel=0))
    clock.now = 101.0
    observer.event_sent(UtteranceEnded(1, SECOND, Reason.COMMIT, channel=1))
    clock.now = 103.0
    for channel in (0, 1):
        observer.event_sent(replace(final(1, Reason.COMMIT), channel=channel))
    assert latencies(metrics) == {"_sum/commit": 3.0 + 2.0, "_count/commit": 2}


def test_failed_and_forgotten_utterances_are_not_timed() -> None:
    metrics = Metrics()
    observer = SessionTiming(metrics, Clock())
    observer.event_sent(UtteranceEnded(1, SECOND, Reason.COMMIT))
    observer.event_sent(TranscriptionFailed(1, 0, SECOND, "why"))
    observer.event_sent(UtteranceEnded(2, SECOND, Reason.SILENCE))
    observer.event_sent(final(2, Reason.SILENCE))
    assert latencies(metrics) == {}


def test_arrival_is_interpolated_within_a_chunk() -> None:
    arrivals = SampleArrivals(10.0)
    arrivals.note(16_000, 11.0)
    arrivals.note(24_000, 13.0)
    assert [arrivals.when(sample) for sample in (0, 4_000, 16_000, 20_000, 24_000)] == [10, 10.25, 11, 12, 13]


def test_unknown_samples_have_no_arrival_time() -> None:
    arrivals = SampleArrivals(0.0)
    assert arrivals.when(1) is None
    for number in range(1, 2 * MAX_NOTES):
        arrivals.note(number * NOTE_INTERVAL, float(number))
    assert arrivals.when(0) is None
    assert arrivals.when((2 * MAX_NOTES - 1) * NOTE_INTERVAL) == 2 * MAX_NOTES - 1


@given(st.lists(st.integers(1, 5_000), max_size=300), st.integers(0, 200_000))
def test_paced_audio_arrived_when_it_was_spoken(cuts: list[int], sample: int) -> None:
    arrivals, received = SampleArrivals(0.0), 0
    for cut in cuts:
        received += cut
        arrivals.note(received, received / 16_000)
    when = arrivals.when(sample)
    assert when is None or abs(when - sample / 16_000) < 1e-9
    assert len(arrivals._samples) <= MAX_NOTES
