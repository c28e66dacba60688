"""Run a model in a process of its own, which is started again when it dies, hangs or loses its device."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, Generic

from batching.errors import DeadlineExceeded, ModelBroken, ModelDied, breaks_its_process
from batching.model_process import Build, Call, Describe, Item, Model, ModelProcess, Result
from batching.threads import NO_DEADLINE, DeadlineThread
from batching.worker import CLOSE_SECONDS, Deadline, NullObserver, WorkerObserver, describe_nothing

log = logging.getLogger(__name__)

MAX_FAILED_LOADS: Final = 5  # in a row, after which a model is broken
BACKOFF_SECONDS: Final = 0.25
MAX_BACKOFF_SECONDS: Final = 10.0
MIN_LOAD_SECONDS: Final = 60.0  # shortest deadline of every load but the first
LOAD_TIME_FACTOR: Final = 10  # deadline of later loads, as a multiple of the time that the first one took


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
        describe: Describe[Model] = describe_nothing,
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
