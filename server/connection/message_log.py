"""Journal: the numbered messages of a session; its cursor is what a client resumes from."""

from collections import deque
from collections.abc import Iterable


class MessageLog:
    """The latest messages, numbered from 1 in the order in which they were told.

    It holds at most `capacity` bytes of them. When it is full the oldest are forgotten: a client that resumes
    from before them cannot be served.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.number = 0  # of the newest message
        self.size = 0  # bytes held
        self._messages: deque[bytes] = deque()

    def append(self, message: bytes) -> int:
        """Numbers a message and keeps it; returns its number."""
        self.number += 1
        self._messages.append(message)
        self.size += len(message)
        self._make_room()
        return self.number

    def _make_room(self) -> None:
        while self.size > self.capacity:
            self.size -= len(self._messages.popleft())

    def restore(self, number: int, messages: Iterable[bytes]) -> None:
        """The latest messages up to a number, as told before."""
        self.number = number
        self._messages.extend(messages)
        self.size = sum(map(len, self._messages))
        self._make_room()

    def since(self, number: int) -> list[bytes]:
        """The messages after `number`. Raises LookupError if some are forgotten, or it was never told."""
        first = self.number - len(self._messages) + 1
        if not first - 1 <= number <= self.number:
            raise LookupError(f"the journal holds messages {first} to {self.number}; asked from {number}")
        return list(self._messages)[number - first + 1 :]
