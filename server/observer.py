"""Observer: what the metrics, and a trace, learn of one live session by the wall clock."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from audio.clip import HOP
from server.arrivals import Arrivals
from server.metrics import Metrics
from streaming.events import Event, FinalTranscript, TranscriptionFailed, UtteranceEnded
from vad.segmenter import TAIL_HOPS, Reason

if TYPE_CHECKING:
    from server.trace import SessionTrace  # needs packages that are there only where it is used


class Observer:
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
        self._arrivals = Arrivals(clock())
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
