"""Run a model in a thread or in a process of its own, one batch at a time.

A worker builds the model where it will run. A thread is cheap and shares memory. A process has a Python lock
of its own, so a model that holds the lock (PocketSphinx does, for a second and more) never blocks the event
loop. A process can also be killed: one that dies, does not answer in time or whose device fails is started
again. After the same fault in a thread the program can only end.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, Generic, Protocol

from batching.deadline_thread import NO_DEADLINE, DeadlineThread
from batching.errors import DeadlineExceeded, ModelBroken, ModelDied, breaks_its_process
from batching.model_process import Build, Call, Describe, Item, Model, ModelProcess, Result, lower_priority

log = logging.getLogger(__name__)

CLOSE_SECONDS: Final = 10.0  # longest wait for a thread's batch, or for a killed process, to end
MAX_FAILED_LOADS: Final = 5  # in a row, after which a model is broken
BACKOFF_SECONDS: Final = 0.25
MAX_BACKOFF_SECONDS: Final = 10.0
MIN_LOAD_SECONDS: Final = 60.0  # shortest deadline of every load but the first
LOAD_TIME_FACTOR: Final = 10  # deadline of later loads, as a multiple of the time that the first one took
NO_LIMIT: Final = 1 << 62

Deadline = Callable[[list[Item]], float]  # returns the seconds that a batch may take


def _describe_nothing(model: object) -> object:
    return None


class WorkerObserver(Protocol):
    """Receive changes in the state of a built model, on the event loop."""

    def restarting(self, why: str, /) -> None:
        """Handle that the model's process restarts and the model is unavailable for a while."""
        ...

    def restarted(self) -> None:
        """Handle that the model is available again."""
        ...

    def broken(self, why: str, /) -> None:
        """Handle that the model failed for good: every batch raises ModelBroken from now on."""
        ...


class NullObserver:
    """Ignore all changes."""

    def restarting(self, why: str) -> None:
        pass

    def restarted(self) -> None:
        pass

    def broken(self, why: str) -> None:
        pass


class Worker(Protocol[Item, Result]):
    """Run batches, one at a time.

    description: what `describe` returned for the model, once it is built
    """

    description: object

    async def start(self) -> None:
        """Build the model. Raises whatever building it raises."""
        ...

    async def run(self, items: list[Item], /) -> list[Result]:
        """Return one result for each item, in order.

        Raises what the model raises, ModelDied, DeadlineExceeded or ModelBroken.
        """
        ...

    async def close(self) -> None:
        """Stop using the model; a running batch is abandoned, in a thread after a limited wait."""
        ...


class ThreadWorker(Generic[Model, Item, Result]):
    """Run a model in a thread of its own.

    The model is broken once a batch took longer than its deadline, once its device failed, and once
    `max_failures` batches in a row raised.

    deadline: seconds that a batch may take, or a function that returns them
    """

    def __init__(
        self,
        build: Build[Model],
        call: Call[Model, Item, Result],
        *,
        name: str,
        describe: Describe[Model] = _describe_nothing,
        deadline: Deadline[Item] | float = NO_DEADLINE,
        max_failures: int = NO_LIMIT,
        observer: WorkerObserver | None = None,
    ) -> None:
        self.description: object = None
        self._build = build
        self._call = call
        self._name = name
        self._describe = describe
        self._deadline = deadline
        self._max_failures = max_failures
        self._observer = observer or NullObserver()
        self._thread = DeadlineThread(name, lower_priority)
        self._failures = 0  # in a row
        self._broken: str | None = None
        self.model: Model

    async def start(self) -> None:
        self.model = await self._thread.call(NO_DEADLINE, self._build)
        self.description = self._describe(self.model)

    async def run(self, items: list[Item]) -> list[Result]:
        if self._broken is not None:
            raise ModelBroken(self._broken)
        try:
            seconds = self._deadline if isinstance(self._deadline, float) else self._deadline(items)
            results = await self._thread.call(seconds, self._call, self.model, items)
        except Exception as error:
            self._failures += 1
            if (
                isinstance(error, DeadlineExceeded)
                or breaks_its_process(error)
                or self._failures >= self._max_failures
            ):
                self._set_broken(error)
            raise
        self._failures = 0
        return results

    async def close(self) -> None:
        self._thread.end()
        if self._broken is None:
            with suppress(DeadlineExceeded):
                await self._thread.join(CLOSE_SECONDS)

    def _set_broken(self, error: Exception) -> None:
        self._broken = f"{self._name}: {error or type(error).__name__}"
        self._observer.broken(self._broken)


class ProcessWorker(Generic[Model, Item, Result]):
    """Run a model in a process of its own.

    `build`, `call`, `describe`, their arguments and their results must be picklable.

    A process that dies, exceeds the deadline of a batch or whose device fails is started again, after a pause
    that grows with each restart in a row; the batch raises. The model is broken only if MAX_FAILED_LOADS in a
    row fail: a model that can be built is usable, whatever its process died of.

    deadline: seconds that a batch may take, or a function that returns them
    """

    def __init__(
        self,
        build: Build[Model],
        call: Call[Model, Item, Result],
        *,
        name: str,
        describe: Describe[Model] = _describe_nothing,
        deadline: Deadline[Item] | float = NO_DEADLINE,
        backoff: float = BACKOFF_SECONDS,
        observer: WorkerObserver | None = None,
    ) -> None:
        self.description: object = None
        self.restarts = 0
        self._new_process: Callable[[], ModelProcess[Model, Item, Result]] = partial(
            ModelProcess, build, call, describe, name
        )
        self._name = name
        self._deadline = deadline
        self._backoff = backoff
        self._observer = observer or NullObserver()
        self._process = self._new_process()
        self._thread = DeadlineThread(f"{name}-pipe")  # one for each process: a call on it may never return
        self._watching: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._load_seconds = MIN_LOAD_SECONDS
        self._deaths = 0  # in a row
        self._broken: str | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid

    async def start(self) -> None:
        began = time.monotonic()
        await self._load(NO_DEADLINE)
        self._load_seconds = max(MIN_LOAD_SECONDS, LOAD_TIME_FACTOR * (time.monotonic() - began))

    async def run(self, items: list[Item]) -> list[Result]:
        async with self._lock:
            if self._broken is not None:
                raise ModelBroken(self._broken)
            try:
                seconds = self._deadline if isinstance(self._deadline, float) else self._deadline(items)
                results = await self._thread.call(seconds, self._process.run, items)
            except ModelDied as death:
                await self._restart(death)
                raise
            except Exception as error:
                if not breaks_its_process(error):
                    raise
                await self._restart(error)
                raise ModelDied(f"the device failed: {error}") from error
            self._deaths = 0
            return results

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        self._process.kill()
        self._thread.end(self._process.reap)
        try:
            await self._thread.join(CLOSE_SECONDS)
        except DeadlineExceeded:
            log.error("model_process.still_running model=%s pid=%s", self._name, self.pid)

    async def _load(self, seconds: float) -> None:
        self.description = await self._thread.call(seconds, self._process.start)
        self._watching = asyncio.create_task(self._watch(self._process), name=f"{self._name} process")

    async def _watch(self, process: ModelProcess[Model, Item, Result]) -> None:
        """Start the process again if it dies while it runs no batch."""
        end = DeadlineThread(f"{self._name}-end")
        try:
            await end.call(NO_DEADLINE, process.wait)
        finally:
            end.end()
        async with self._lock:
            if self._process is process and self._broken is None:
                with suppress(ModelBroken):  # the observer knows, and the next batch raises it again
                    await self._restart(ModelDied(f"the process of {self._name} died"))

    async def _restart(self, cause: Exception) -> None:
        """Replace the process by a new one that has loaded its model. Raises ModelBroken."""
        self._observer.restarting(str(cause))
        for _ in range(MAX_FAILED_LOADS):
            self._deaths += 1
            self.restarts += 1
            self._process.kill()
            self._thread.end(self._process.reap)
            await asyncio.sleep(self._pause())
            self._process, self._thread = self._new_process(), DeadlineThread(f"{self._name}-pipe")
            try:
                await self._load(self._load_seconds)
            except Exception as error:  # raised below, unless a later load succeeds
                log.error("model_process.restart_failed model=%s error=%r", self._name, error)
                cause = error
            else:
                self._observer.restarted()
                return
        self._broken = f"{self._name} could not be started again: {cause or type(cause).__name__}"
        self._observer.broken(self._broken)
        raise ModelBroken(self._broken) from cause

    def _pause(self) -> float:
        """Return the seconds to wait before a restart; 0 after the first death."""
        return min(self._backoff * (2.0 ** min(self._deaths - 1, 16) - 1), MAX_BACKOFF_SECONDS)
