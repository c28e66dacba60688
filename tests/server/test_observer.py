"""Observer: how long after the end of speech a final is told."""

import numpy as np

from asr.recognizer import Hypothesis
from audio.clip import HOP, Clip
from server.metrics import Metrics
from server.observer import Observer
from streaming.events import FinalTranscript, TranscriptionFailed, UtteranceEnded
from tests.server.test_metrics import values
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
    """Sums and counts."""
    read = values(metrics.text().decode())
    name = "stt_final_latency_seconds"
    return {
        k.removeprefix(name): v for k, v in read.items() if k.startswith((f"{name}_sum", f"{name}_count"))
    }


def test_a_final_is_timed_from_the_last_speech_of_its_segment() -> None:
    clock, metrics = Clock(), Metrics()
    observer = Observer(metrics, clock)
    for second in range(1, 4):
        clock.now = 100.0 + second
        observer.heard(second * SECOND)
    observer.told(UtteranceEnded(1, 2 * SECOND + 3 * HOP, Reason.SILENCE))
    clock.now = 103.5
    observer.told(final(1, Reason.SILENCE))
    assert latencies(metrics) == {"_sum/silence": 1.5, "_count/silence": 1}


def test_where_something_else_ended_the_utterance_the_time_begins_with_that() -> None:
    clock, metrics = Clock(), Metrics()
    observer = Observer(metrics, clock)
    clock.now = 120.0
    observer.told(UtteranceEnded(1, SECOND, Reason.COMMIT))
    clock.now = 120.25
    observer.told(final(1, Reason.COMMIT))
    assert latencies(metrics) == {"_sum/commit": 0.25, "_count/commit": 1}


def test_nothing_is_timed_that_failed_or_whose_speech_is_forgotten() -> None:
    metrics = Metrics()
    observer = Observer(metrics, Clock())
    observer.told(UtteranceEnded(1, SECOND, Reason.COMMIT))
    observer.told(TranscriptionFailed(1, 0, SECOND, "why"))
    observer.told(UtteranceEnded(2, SECOND, Reason.SILENCE))
    observer.told(final(2, Reason.SILENCE))
    assert latencies(metrics) == {}
