"""Inbox: events that the program has not read yet."""

import asyncio
from collections import deque

from client.errors import ClientError, ConnectionLost
from client.events import Event

CAPACITY = 256  # events


class EventQueue:
    """In order. When it is full, whoever puts waits: the connection is read no further then."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._waiting: deque[Event | ClientError] = deque()
        self._changed = asyncio.Event()
        self._closed = False
        self._lost: ConnectionLost | None = None

    async def put(self, event: Event | ClientError) -> None:
        """An error is raised where it is read; others may follow."""
        while len(self._waiting) >= self._capacity:
            await self._change()
        self._waiting.append(event)
        self._changed.set()

    async def get(self) -> Event:
        """Once it is closed and empty, raises StopAsyncIteration or the ConnectionLost it was closed with."""
        while not self._waiting and not self._closed:
            await self._change()
        if not self._waiting:
            raise self._lost or StopAsyncIteration
        event = self._waiting.popleft()
        self._changed.set()
        if isinstance(event, ClientError):
            raise event
        return event

    def close(self, lost: ConnectionLost | None) -> None:
        """Nothing will come any more."""
        self._closed, self._lost = True, lost
        self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
