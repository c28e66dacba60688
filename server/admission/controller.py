"""Admission: which streams are let in, how many may live at once, and the orderly end of all of them."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from server.admission.policy import AdmissionPolicy, Scope, no_limits
from server.admission.retry_after import RetryAfterEstimate
from server.errors import ClientError, overloaded, restarting
from streaming.driver import StreamDriver

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Stream:
    task: asyncio.Task[object]
    pump: StreamDriver | None


class AdmissionController:
    """The live streams, each with its task. `stop` of each is called once when the server drains."""

    def __init__(self, most: int, what: str = "sessions", limits: AdmissionPolicy | None = None) -> None:
        self.draining = False
        self.limits = limits or no_limits()
        self._what = what
        self._most = most
        self._turnover = RetryAfterEstimate()
        self._streams: dict[Callable[[], None], _Stream] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def pumps(self) -> list[StreamDriver]:
        return [stream.pump for stream in self._streams.values() if stream.pump is not None]

    def check(self, scope: Scope, *, comes_back: bool = False) -> None:
        """Whether whoever asks may begin a stream. Raises ClientError.

        comes_back: to a session that has its place already
        """
        self.limits.check(scope, comes_back=comes_back, turnover=self._turnover.expected())
        if not comes_back and (refusal := self.refusal()) is not None:
            raise refusal

    def refusal(self) -> ClientError | None:
        """Why no stream can be admitted now; None if one can."""
        if self.draining:
            return restarting()
        if len(self) >= self._most:
            problem = f"{self._most} {self._what} are open, which is the limit."
            return overloaded(problem, self._turnover.expected())
        return None

    @contextmanager
    def admit(
        self, stop: Callable[[], None], pump: StreamDriver | None = None, *, anyway: bool = False
    ) -> Iterator[None]:
        """Counts a stream, which is the current task's, for as long as it lasts. Raises ClientError.

        anyway: it was admitted before, by another server
        """
        refusal = None if anyway else self.refusal()
        if refusal is not None:
            raise refusal
        task = asyncio.current_task()
        assert task is not None
        self._streams[stop] = _Stream(task, pump)
        self._empty.clear()
        try:
            yield
        finally:
            del self._streams[stop]
            self._turnover.freed()
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
            for stream in self._streams.values():
                stream.task.cancel()
