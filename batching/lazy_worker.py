"""Build a worker when it is first needed, and close it when it is idle."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Final, Generic

from batching.errors import ModelBroken
from batching.model_process import Item, Result
from batching.worker import Worker

log = logging.getLogger(__name__)

IDLE_SECONDS: Final = 300.0


class LazyWorker(Generic[Item, Result]):
    """Build a worker for its first batch, and close it after `idle_seconds` without one.

    A worker that cannot be built, or is broken, is closed; the batch raises ModelBroken, and the next one
    builds another worker.

    build: returns a new worker, which is not started yet
    hold: returns a context that lasts from before a worker is started until it is closed; it may raise
    """

    def __init__(
        self,
        build: Callable[[], Worker[Item, Result]],
        *,
        name: str,
        hold: Callable[[], AbstractContextManager[None]] = nullcontext,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self.description: object = None
        self._build = build
        self._name = name
        self._hold = hold
        self._idle_seconds = idle_seconds
        self._worker: Worker[Item, Result] | None = None
        self._held = ExitStack()
        self._timer: asyncio.TimerHandle | None = None
        self._unloading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Do nothing: the first batch starts the worker."""

    async def run(self, items: list[Item]) -> list[Result]:
        """Return one result for each item, in order.

        Raises what the model raises, ModelDied, DeadlineExceeded or ModelBroken.
        """
        if self._timer is not None:
            self._timer.cancel()
        if self._unloading is not None:
            await asyncio.wait([self._unloading])
        try:
            worker = self._worker or await self._load()
            return await worker.run(items)
        except ModelBroken:
            await self.close()
            raise
        finally:
            self._timer = asyncio.get_running_loop().call_later(self._idle_seconds, self._unload)

    async def close(self) -> None:
        """Close the worker, if there is one."""
        if self._timer is not None:
            self._timer.cancel()
        worker, self._worker = self._worker, None
        try:
            if worker is not None:
                await worker.close()
                log.info("model.unloaded name=%r", self._name)
        finally:
            self._held.close()

    async def _load(self) -> Worker[Item, Result]:
        try:
            self._held.enter_context(self._hold())
            self._worker = worker = self._build()
            await worker.start()
        except Exception as error:
            raise ModelBroken(f"{self._name}: {error or type(error).__name__}") from error
        log.info("model.loaded name=%r", self._name)
        return worker

    def _unload(self) -> None:
        if self._worker is not None:
            self._unloading = asyncio.create_task(self.close(), name=f"unload {self._name}")
