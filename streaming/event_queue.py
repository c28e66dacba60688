"""Outbox: events that wait for the client. Pure but for the clock it is given."""

from collections import deque
from collections.abc import Callable
from typing import Final

from audio.clip import SAMPLE_RATE
from streaming.events import Event, FinalTranscript, LagReported, PartialTranscript

MAX_EVENTS: Final = 1_000
MAX_SOUND: Final = 120 * SAMPLE_RATE  # samples of the finals among them


class EventQueue:
    """In order. A partial that was not taken is replaced by the next one of its utterance; a final never is.

    It is full with MAX_EVENTS, or MAX_SOUND samples, but takes in what comes: whoever fills it holds the
    bound. clock: seconds
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._events: deque[Event] = deque()
        self._sound = 0
        self._full_since: float | None = None

    def __len__(self) -> int:
        return len(self._events)

    @property
    def is_full(self) -> bool:
        return len(self._events) >= MAX_EVENTS or self._sound >= MAX_SOUND

    @property
    def full_for(self) -> float:
        """Seconds since it was full, until it is half empty: an event that is taken now and then makes it not
        so."""
        return 0.0 if self._full_since is None else self._clock() - self._full_since

    def put(self, event: Event) -> None:
        if self._events and _replaces(event, self._events[-1]):
            self._events[-1] = event
            return
        self._events.append(event)
        self._sound += _sound_of(event)
        if self.is_full and self._full_since is None:
            self._full_since = self._clock()

    def take(self) -> Event:
        """The oldest. Raises IndexError where there is none."""
        event = self._events.popleft()
        self._sound -= _sound_of(event)
        if 2 * len(self._events) <= MAX_EVENTS and 2 * self._sound <= MAX_SOUND:
            self._full_since = None
        return event


def _replaces(event: Event, last: Event) -> bool:
    """Whether a client that has not heard the last one need not hear it any more."""
    if isinstance(event, PartialTranscript) and isinstance(last, PartialTranscript):
        return event.utterance == last.utterance
    return isinstance(event, LagReported) and isinstance(last, LagReported)


def _sound_of(event: Event) -> int:
    return len(event.clip.samples) if isinstance(event, FinalTranscript) else 0
