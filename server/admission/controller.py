"""Admit streams up to a maximum number, and drain them when the server stops."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from server.admission.policy import AdmissionPolicy, Scope, unlimited_policy
from server.admission.retry_after import RetryAfterEstimate
from server.errors import ClientError, overloaded, restarting
from streaming.driver import StreamDriver

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Stream:
    """Hold the task of a stream, what ends its audio, if it has that, and the drivers of its channels."""

    task: asyncio.Task[object]
    stop: Callable[[], None] | None
    drivers: Sequence[StreamDriver]

    @property
    def places(self) -> int:
        """The number of streams that this one counts as."""
        return max(1, len(self.drivers))


class AdmissionController:
    """Hold the open streams, bound their number and drain them.

    Each channel that a stream keeps apart counts as a stream, because it costs as much.

    max_streams: maximum number of open streams
    noun: plural noun for the streams in messages and logs
    policy: further conditions for a new stream; None sets no further limits
    """

    def __init__(
        self, max_streams: int, noun: str = "sessions", policy: AdmissionPolicy | None = None
    ) -> None:
        self.draining = False
        self.policy = policy or unlimited_policy()
        self._noun = noun
        self._max_streams = max_streams
        self._retry_after = RetryAfterEstimate()
        self._streams: dict[_Stream, None] = {}  # in the order in which they were admitted
        self._taken = 0  # places of the open streams
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def drivers(self) -> list[StreamDriver]:
        """Return the drivers of all channels of the open streams."""
        return [driver for stream in self._streams for driver in stream.drivers]

    def check(self, scope: Scope, *, resuming: bool = False) -> None:
        """Raise ClientError if the client of an ASGI scope may not open a stream now.

        resuming: the client resumes a session that is already counted
        """
        self.policy.check(scope, resuming=resuming, retry_after=self._retry_after.expected())
        if not resuming and (refusal := self.refusal()) is not None:
            raise refusal

    def refusal(self, places: int = 1) -> ClientError | None:
        """Return why no stream that counts as so many can be admitted now, or None if one can."""
        if self.draining:
            return restarting()
        free = self._max_streams - self._taken
        if free < places:
            problem = f"{self._max_streams} {self._noun} are open, which is the limit."
            if free > 0:
                problem = f"{places} channels need as many places for {self._noun}; {free} are free."
            return overloaded(problem, self._retry_after.expected())
        return None

    @contextmanager
    def admit(
        self,
        stop: Callable[[], None] | None = None,
        drivers: Sequence[StreamDriver] = (),
        *,
        force: bool = False,
    ) -> Iterator[None]:
        """Count a stream of the current task while the context lasts.

        stop: ends the audio of the stream; called at most once, when the server drains. None if the stream
            ends by itself then
        drivers: of the stream's channels, one if they are mixed; () if it is not live
        force: admit it beyond the limit, because another server process admitted it before

        Raises ClientError on entry if the stream cannot be admitted.
        """
        task = asyncio.current_task()
        assert task is not None
        stream = _Stream(task, stop, drivers)
        refusal = None if force else self.refusal(stream.places)
        if refusal is not None:
            raise refusal
        self._streams[stream] = None
        self._taken += stream.places
        self._empty.clear()
        try:
            yield
        finally:
            del self._streams[stream]
            self._taken -= stream.places
            self._retry_after.freed()
            if not self._streams:
                self._empty.set()

    async def drain(self, seconds: float) -> None:
        """Refuse new streams, end the audio of all streams, and wait until they have sent their finals.

        After this many seconds, or if it is cancelled itself, it cancels the remaining streams.
        """
        self.draining = True
        log.info("admission.draining kind=%s open=%d", self._noun, len(self))
        for stream in list(self._streams):
            if stream.stop is not None:
                stream.stop()
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            log.error("admission.drain_timeout kind=%s open=%d seconds=%.0f", self._noun, len(self), seconds)
        finally:
            for stream in self._streams:
                stream.task.cancel()
