"""Buffer the events that the program has not read yet."""

import asyncio
from collections import deque

from client.errors import ConnectionLost, SttClientError
from client.events import Event

CAPACITY = 256  # events


class EventBuffer:
    """Buffer events in order. While it is full, `put` waits, so the connection is not read."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._waiting: deque[Event | SttClientError] = deque()
        self._changed = asyncio.Event()
        self._closed = False
        self._lost: ConnectionLost | None = None

    async def put(self, event: Event | SttClientError) -> None:
        """Add an event, or an error that `get` raises; more events may follow an error."""
        while len(self._waiting) >= self._capacity:
            await self._change()
        self._waiting.append(event)
        self._changed.set()

    async def get(self) -> Event:
        """Return the next event, or raise the next error.

        Once the buffer is closed and empty, raises StopAsyncIteration or the ConnectionLost of `close`.
        """
        while not self._waiting and not self._closed:
            await self._change()
        if not self._waiting:
            raise self._lost or StopAsyncIteration
        event = self._waiting.popleft()
        self._changed.set()
        if isinstance(event, SttClientError):
            raise event
        return event

    def close(self, lost: ConnectionLost | None) -> None:
        """Close the buffer; no more events will be added."""
        self._closed, self._lost = True, lost
        self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
