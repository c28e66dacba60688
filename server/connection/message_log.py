"""Keep the latest messages of a session by number, so that a client can resume after one of them."""

from collections import deque
from collections.abc import Iterable


class MessageLog:
    """Hold the latest messages, numbered from 1 in the order in which they were sent.

    It holds at most `capacity` bytes of messages. When it is full the oldest ones are dropped, and a client
    that missed one of those can no longer resume.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.number = 0  # of the newest message
        self.size = 0  # bytes held
        self._messages: deque[bytes] = deque()

    @property
    def dropped(self) -> int:
        """Return the number of the newest message that is no longer held; 0 if all are."""
        return self.number - len(self._messages)

    def append(self, message: bytes) -> int:
        """Keep a message and return its number."""
        self.number += 1
        self._messages.append(message)
        self.size += len(message)
        self._drop_oldest()
        return self.number

    def _drop_oldest(self) -> None:
        while self.size > self.capacity:
            self.size -= len(self._messages.popleft())

    def restore(self, number: int, messages: Iterable[bytes]) -> None:
        """Take over the latest messages that an earlier server sent.

        number: number of the last of the messages
        """
        self.number = number
        self._messages.extend(messages)
        self.size = sum(map(len, self._messages))
        self._drop_oldest()

    def since(self, number: int) -> list[bytes]:
        """Return the messages after `number`.

        Raises LookupError if some of them were dropped, or if no message of this number was sent.
        """
        first = self.dropped + 1
        if not first - 1 <= number <= self.number:
            raise LookupError(f"the journal holds messages {first} to {self.number}; asked from {number}")
        return list(self._messages)[number - first + 1 :]
