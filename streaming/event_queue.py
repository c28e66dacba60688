"""Hold events until the client takes them."""

from collections import deque
from collections.abc import Callable
from typing import Final

from audio.clip import SAMPLE_RATE
from streaming.events import Event, FinalTranscript, LagReported, PartialTranscript

MAX_EVENTS: Final = 1_000
MAX_AUDIO_SAMPLES: Final = 120 * SAMPLE_RATE  # in the finals of the queue


class EventQueue:
    """Hold events in order; the next partial of an utterance replaces one that was not taken, finals stay.

    The queue is full with MAX_EVENTS events or MAX_AUDIO_SAMPLES of audio, but accepts more: the driver stops
    its input while the queue is full.

    is_full: whether the queue is full
    clock: returns seconds
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.is_full = False
        self._clock = clock
        self._events: deque[Event] = deque()
        self._samples = 0
        self._full_since: float | None = None

    def __len__(self) -> int:
        return len(self._events)

    @property
    def full_for(self) -> float:
        """Seconds since the queue was full, until it is half empty.

        So a client that takes a few events now and then still counts as too slow.
        """
        return 0.0 if self._full_since is None else self._clock() - self._full_since

    def put(self, event: Event) -> None:
        """Add an event."""
        if self._events and _replaces(event, self._events[-1]):
            self._events[-1] = event
            return
        self._events.append(event)
        self._samples += _samples_of(event)
        self._check()
        if self.is_full and self._full_since is None:
            self._full_since = self._clock()

    def take(self) -> Event:
        """Remove and return the oldest event. Raises IndexError if the queue is empty."""
        event = self._events.popleft()
        self._samples -= _samples_of(event)
        self._check()
        if 2 * len(self._events) <= MAX_EVENTS and 2 * self._samples <= MAX_AUDIO_SAMPLES:
            self._full_since = None
        return event

    def _check(self) -> None:
        self.is_full = len(self._events) >= MAX_EVENTS or self._samples >= MAX_AUDIO_SAMPLES


def _replaces(event: Event, last: Event) -> bool:
    """Return whether a client that has not received the last event does not need it any more."""
    if isinstance(event, PartialTranscript) and isinstance(last, PartialTranscript):
        return event.utterance == last.utterance
    return isinstance(event, LagReported) and isinstance(last, LagReported)


def _samples_of(event: Event) -> int:
    return len(event.clip.samples) if isinstance(event, FinalTranscript) else 0
