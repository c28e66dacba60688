"""Measure one live session by the wall clock, for the metrics and a trace."""

import time
from bisect import bisect_left
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from audio.clip import HOP, SAMPLE_RATE
from server.observability.metrics import Metrics
from streaming.events import Event, FinalTranscript, TranscriptionFailed, UtteranceEnded
from vad.segmenter import TAIL_HOPS, Reason

if TYPE_CHECKING:
    from server.observability.tracing import (
        SessionTrace,  # needs packages that are there only where it is used
    )


class SessionTiming:
    """Measure how long after the end of speech each final is sent.

    clock: monotonic time in seconds
    """

    def __init__(
        self,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        trace: "SessionTrace | None" = None,
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._trace = trace
        self._arrivals = SampleArrivals(clock())
        # Of utterances whose final is still to come, by channel and number.
        self._speech_ends: dict[tuple[int | None, int], float | None] = {}

    def audio_received(self, received: int) -> None:
        """Note that so many samples of the stream have arrived by now."""
        self._arrivals.note(received, self._clock())

    def event_sent(self, event: Event) -> None:
        """Observe an event that was sent, or kept for a client that is disconnected."""
        if self._trace is not None:
            self._trace.event_sent(event)
        if isinstance(event, UtteranceEnded):
            self._speech_ends[event.channel, event.utterance] = self._end_of_speech(event)
        elif isinstance(event, FinalTranscript):
            spoken = self._speech_ends.pop((event.channel, event.utterance), None)
            if spoken is not None:
                self._metrics.final_latency.labels(event.reason).observe(self._clock() - spoken)
        elif isinstance(event, TranscriptionFailed):
            self._speech_ends.pop((event.channel, event.utterance), None)

    def end(self) -> None:
        """End the trace: the session has ended."""
        if self._trace is not None:
            self._trace.end()

    def _end_of_speech(self, event: UtteranceEnded) -> float | None:
        """Return when the utterance's last sample arrived, or the present if no silence ended it."""
        if event.reason is Reason.SILENCE:
            return self._arrivals.when(event.at - TAIL_HOPS * HOP)
        return self._clock()


NOTE_INTERVAL: Final = SAMPLE_RATE // 10  # samples
MAX_NOTES: Final = 128  # at least 13 s: longer than any silence that ends an utterance


class SampleArrivals:
    """Note when samples arrived, every 100 ms of audio; beyond MAX_NOTES the oldest notes are dropped.

    Between two notes samples are assumed to arrive evenly, as they are spoken.
    """

    def __init__(self, now: float) -> None:
        self._samples = [0]  # received until then
        self._times = [now]

    def note(self, received: int, now: float) -> None:
        """Note that so many samples of the stream have arrived by now, in seconds."""
        if received < self._samples[-1] + NOTE_INTERVAL:
            return
        self._samples.append(received)
        self._times.append(now)
        if len(self._samples) > MAX_NOTES:
            del self._samples[0], self._times[0]

    def when(self, sample: int) -> float | None:
        """Return when a sample arrived, in seconds; None if its note was dropped or is not there yet."""
        place = bisect_left(self._samples, sample)
        if place == len(self._samples) or sample < self._samples[0]:
            return None
        if self._samples[place] == sample:
            return self._times[place]
        (before, after), (began, ended) = (
            self._samples[place - 1 : place + 1],
            self._times[place - 1 : place + 1],
        )
        return began + (ended - began) * (sample - before) / (after - before)
