"""Admission: how many streams may live at once, and the orderly end of all of them."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from server.errors import ClientError, overloaded, restarting

log = logging.getLogger(__name__)


class Admission:
    """The live streams, each with its task. `stop` of each is called once when the server drains."""

    def __init__(self, most: int, what: str = "sessions") -> None:
        self.draining = False
        self._what = what
        self._most = most
        self._streams: dict[Callable[[], None], asyncio.Task[object]] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._streams)

    def refusal(self) -> ClientError | None:
        """Why no stream can be admitted now; None if one can."""
        if self.draining:
            return restarting()
        if len(self) >= self._most:
            return overloaded(f"{self._most} {self._what} are open, which is the limit.")
        return None

    @contextmanager
    def admit(self, stop: Callable[[], None]) -> Iterator[None]:
        """Counts a stream, which is the current task's, for as long as it lasts. Raises ClientError."""
        refusal = self.refusal()
        if refusal is not None:
            raise refusal
        task = asyncio.current_task()
        assert task is not None
        self._streams[stop] = task
        self._empty.clear()
        try:
            yield
        finally:
            del self._streams[stop]
            if not self._streams:
                self._empty.set()

    async def drain(self, seconds: float) -> None:
        """Admits no more, ends every stream's audio, and waits until all finals have left.

        After so long, or when it is cancelled itself, it cancels the streams that are left.
        """
        self.draining = True
        log.info("draining %d %s", len(self), self._what)
        for stop in list(self._streams):
            stop()
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            log.error("%d %s did not finish within %.0f s", len(self), self._what, seconds)
        finally:
            for task in self._streams.values():
                task.cancel()
