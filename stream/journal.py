"""Journal: the numbered events of a session; its cursor is what a client resumes from."""

from collections import deque
from typing import Generic, TypeVar

Event = TypeVar("Event")


class Journal(Generic[Event]):
    """The last `capacity` events, numbered from 1 in the order in which they were told.

    When it is full the oldest event is forgotten: a client that resumes from before it cannot be served.
    """

    def __init__(self, capacity: int) -> None:
        self._events: deque[Event] = deque(maxlen=capacity)
        self.number = 0  # of the newest event

    def append(self, event: Event) -> int:
        """Numbers an event and keeps it; returns its number."""
        self._events.append(event)
        self.number += 1
        return self.number

    def since(self, number: int) -> list[tuple[int, Event]]:
        """The events after `number`, each with its own. Raises LookupError if some of them are forgotten."""
        first = self.number - len(self._events) + 1
        if not first - 1 <= number <= self.number:
            raise LookupError(f"the journal holds events {first} to {self.number}; asked from {number}")
        return [(n, e) for n, e in enumerate(self._events, first) if n > number]
