"""Let runs of jobs go side by side, except one that has to be alone in its process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class RunGate:
    """Admit runs in the order in which they ask.

    A run that has to be alone waits for the ones before it, and those after it wait for its end.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._idle = asyncio.Event()
        self._idle.set()
        self._running = 0

    @asynccontextmanager
    async def enter(self, *, alone: bool) -> AsyncIterator[None]:
        """Wait for the turn of a run, and stay for as long as it runs."""
        if alone:
            async with self._turn:
                await self._idle.wait()
                yield
            return
        async with self._turn:
            self._running += 1
            self._idle.clear()
        try:
            yield
        finally:
            self._running -= 1
            if self._running == 0:
                self._idle.set()
