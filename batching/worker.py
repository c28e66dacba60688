"""Where a model lives: a thread of its own, or a process of its own.

A worker builds the model where it will run, and runs one batch at a time. A thread is cheap and shares
memory; a process keeps Python's lock to itself, so that a model which holds it (PocketSphinx does, for a
second and more) never stops the event loop. And a process can be killed: one that dies, that does not answer
in time or whose device fails is started again, where in a thread nothing is left but to end the program.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, Generic, Protocol

from batching.deadline_thread import FOR_EVER, DeadlineThread
from batching.errors import DeadlineExceeded, ModelBroken, ModelDied, breaks_its_process
from batching.model_process import Build, Call, Describe, Item, Model, ModelProcess, Result, lower_priority

log = logging.getLogger(__name__)

CLOSE_SECONDS: Final = 10.0  # that the end of a batch in a thread, or of a killed process, is waited for
MOST_LOADS: Final = 5  # in a row that come to nothing
BACKOFF: Final = 0.25  # seconds
LONGEST_BACKOFF: Final = 10.0
LOAD_SECONDS: Final = 60.0  # at least, for a load that is not the first one
SLOWER_LOAD: Final = 10  # times as long as the first one, which may have had to download it
NO_LIMIT: Final = 1 << 62

Deadline = Callable[[list[Item]], float]  # seconds that a batch may take


def _nothing(model: object) -> object:
    return None


def _ever(items: object) -> float:
    return FOR_EVER


class WorkerObserver(Protocol):
    """Is told on the event loop how a model fares once it was built."""

    def restarting(self, why: str, /) -> None:
        """It is not there for a while."""
        ...

    def restarted(self) -> None: ...

    def broken(self, why: str, /) -> None:
        """It is of no more use: every batch raises ModelBroken from now on."""
        ...


class NullObserver:
    def restarting(self, why: str) -> None:
        pass

    def restarted(self) -> None:
        pass

    def broken(self, why: str) -> None:
        pass


class Worker(Protocol[Item, Result]):
    """Runs batches, one at a time. description: what `describe` said of the model, once it is built."""

    description: object

    async def start(self) -> None:
        """Builds the model. Raises whatever building it raises."""
        ...

    async def run(self, items: list[Item], /) -> list[Result]:
        """One result per item, in order. Raises what the model raises, ModelDied, Overdue or ModelBroken."""
        ...

    async def close(self) -> None:
        """Gives the model up; a batch under way is abandoned, in a thread awaited for a while first."""
        ...


class ThreadWorker(Generic[Model, Item, Result]):
    """A model in a thread of its own.

    It is broken once a batch has taken longer than its deadline, once its device has failed, and once
    `most_failures` batches in a row have raised.
    """

    def __init__(
        self,
        build: Build[Model],
        call: Call[Model, Item, Result],
        *,
        name: str,
        describe: Describe[Model] = _nothing,
        deadline: Deadline[Item] = _ever,
        most_failures: int = NO_LIMIT,
        watcher: WorkerObserver | None = None,
    ) -> None:
        self.description: object = None
        self._build = build
        self._call = call
        self._name = name
        self._describe = describe
        self._deadline = deadline
        self._most_failures = most_failures
        self._watcher = watcher or NullObserver()
        self._lane = DeadlineThread(name, lower_priority)
        self._failures = 0  # in a row
        self._broken: str | None = None
        self.model: Model

    async def start(self) -> None:
        self.model = await self._lane.call(FOR_EVER, self._build)
        self.description = self._describe(self.model)

    async def run(self, items: list[Item]) -> list[Result]:
        if self._broken is not None:
            raise ModelBroken(self._broken)
        try:
            results = await self._lane.call(self._deadline(items), self._call, self.model, items)
        except Exception as error:
            self._failures += 1
            if (
                isinstance(error, DeadlineExceeded)
                or breaks_its_process(error)
                or self._failures >= self._most_failures
            ):
                self._give_up(error)
            raise
        self._failures = 0
        return results

    async def close(self) -> None:
        self._lane.end()
        if self._broken is None:
            with suppress(DeadlineExceeded):
                await self._lane.join(CLOSE_SECONDS)

    def _give_up(self, error: Exception) -> None:
        self._broken = f"{self._name}: {error or type(error).__name__}"
        self._watcher.broken(self._broken)


class ProcessWorker(Generic[Model, Item, Result]):
    """A model in a process of its own. `build`, `call`, `describe` and what they take and give are picklable.

    A process that dies, takes longer over a batch than its deadline or whose device fails is started again,
    after a pause that grows with each time in a row; the batch raises. Only where MOST_LOADS in a row come to
    nothing it is broken: a model that can be built works, whatever it dies of.
    """

    def __init__(
        self,
        build: Build[Model],
        call: Call[Model, Item, Result],
        *,
        name: str,
        describe: Describe[Model] = _nothing,
        deadline: Deadline[Item] = _ever,
        backoff: float = BACKOFF,
        watcher: WorkerObserver | None = None,
    ) -> None:
        self.description: object = None
        self.restarts = 0
        self._new_child: Callable[[], ModelProcess[Model, Item, Result]] = partial(
            ModelProcess, build, call, describe, name
        )
        self._name = name
        self._deadline = deadline
        self._backoff = backoff
        self._watcher = watcher or NullObserver()
        self._child = self._new_child()
        self._lane = DeadlineThread(f"{name}-pipe")  # one for each process: it may never come back from it
        self._mourning: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._load_seconds = LOAD_SECONDS
        self._deaths = 0  # in a row
        self._broken: str | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid

    async def start(self) -> None:
        began = time.monotonic()
        await self._load(FOR_EVER)
        self._load_seconds = max(LOAD_SECONDS, SLOWER_LOAD * (time.monotonic() - began))

    async def run(self, items: list[Item]) -> list[Result]:
        async with self._turn:
            if self._broken is not None:
                raise ModelBroken(self._broken)
            try:
                results = await self._lane.call(self._deadline(items), self._child.run, items)
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
        if self._mourning is not None:
            self._mourning.cancel()
        self._child.kill()
        self._lane.end(self._child.reap)
        try:
            await self._lane.join(CLOSE_SECONDS)
        except DeadlineExceeded:
            log.error("the process %s of %s does not end", self.pid, self._name)

    async def _load(self, seconds: float) -> None:
        self.description = await self._lane.call(seconds, self._child.start)
        self._mourning = asyncio.create_task(self._mourn(self._child), name=f"{self._name} process")

    async def _mourn(self, child: ModelProcess[Model, Item, Result]) -> None:
        """Starts it again if it dies while nobody asks anything of it."""
        end = DeadlineThread(f"{self._name}-end")
        try:
            await end.call(FOR_EVER, child.wait)
        finally:
            end.end()
        async with self._turn:
            if self._child is child and self._broken is None:
                with suppress(ModelBroken):  # which the watcher has heard, and who asks next will
                    await self._restart(ModelDied(f"the process of {self._name} died"))

    async def _restart(self, cause: Exception) -> None:
        """Returns with a new process. Raises ModelBroken."""
        self._watcher.restarting(str(cause))
        for _ in range(MOST_LOADS):
            self._deaths += 1
            self.restarts += 1
            self._child.kill()
            self._lane.end(self._child.reap)
            await asyncio.sleep(self._pause())
            self._child, self._lane = self._new_child(), DeadlineThread(f"{self._name}-pipe")
            try:
                await self._load(self._load_seconds)
            except Exception as error:  # told below, or mended by the next load
                log.error("%s could not be started again: %r", self._name, error)
                cause = error
            else:
                self._watcher.restarted()
                return
        self._broken = f"{self._name} could not be started again: {cause or type(cause).__name__}"
        self._watcher.broken(self._broken)
        raise ModelBroken(self._broken) from cause

    def _pause(self) -> float:
        """Seconds; none after the first death."""
        return min(self._backoff * (2.0 ** min(self._deaths - 1, 16) - 1), LONGEST_BACKOFF)
