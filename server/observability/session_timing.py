"""Observer: what the metrics, and a trace, learn of one live session by the wall clock."""

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
    """clock: seconds, not running backwards."""

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
        self._spoken: dict[int, float | None] = {}  # when it was, of utterances whose final is still to come

    def heard(self, received: int) -> None:
        """So many samples of the stream have come."""
        self._arrivals.note(received, self._clock())

    def told(self, event: Event) -> None:
        """To the client, or to the journal for one that is away."""
        if self._trace is not None:
            self._trace.told(event)
        if isinstance(event, UtteranceEnded):
            self._spoken[event.utterance] = self._end_of_speech(event)
        elif isinstance(event, FinalTranscript):
            spoken = self._spoken.pop(event.utterance, None)
            if spoken is not None:
                self._metrics.final_latency.labels(event.reason).observe(self._clock() - spoken)
        elif isinstance(event, TranscriptionFailed):
            self._spoken.pop(event.utterance, None)

    def leave(self) -> None:
        """The session is over, however it ended."""
        if self._trace is not None:
            self._trace.leave()

    def _end_of_speech(self, event: UtteranceEnded) -> float | None:
        """When its last sample came; where it was not silence that ended it, the decision counts."""
        if event.reason is Reason.SILENCE:
            return self._arrivals.when(event.at - TAIL_HOPS * HOP)
        return self._clock()


SPACING: Final = SAMPLE_RATE // 10
MOST: Final = 128  # so about 13 s at the least: longer than any silence that ends an utterance


class SampleArrivals:
    """Notes where the stream stood, and when, once for each 100 ms; beyond MOST the oldest are forgotten.

    Within a note's stretch samples are taken to have come evenly: they were spoken so.
    """

    def __init__(self, now: float) -> None:
        self._samples = [0]  # received until then
        self._times = [now]

    def note(self, received: int, now: float) -> None:
        """So many samples of the stream have come by now (seconds)."""
        if received < self._samples[-1] + SPACING:
            return
        self._samples.append(received)
        self._times.append(now)
        if len(self._samples) > MOST:
            del self._samples[0], self._times[0]

    def when(self, sample: int) -> float | None:
        """When it came; None for one that is forgotten, or that has not been noted yet."""
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
