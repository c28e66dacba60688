"""Run a model in a worker that starts when the model is first needed."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from batching.batcher import Batcher
from batching.worker import Worker
from streaming.errors import SpeakersUnavailable

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 60.0  # After a failed start, requests fail at once for so long.

Request = TypeVar("Request")
Result = TypeVar("Result")


class LazyModel(Generic[Request, Result]):
    """Share the batches of a model that finds speakers; nothing is loaded before the first request.

    An async context manager: leaving it ends the worker.

    worker: returns the worker that runs the model
    max_items: most requests in a batch
    max_waiting: most requests of other priorities than those of live finals and files
    """

    def __init__(
        self,
        worker: Callable[[], Worker[Request, Result]],
        *,
        max_items: int,
        max_waiting: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._new_worker = worker
        self._max_items = max_items
        self._max_waiting = max_waiting
        self._clock = clock
        self._batcher: Batcher[Request, Result] | None = None
        self._running = AsyncExitStack()
        self._starting = asyncio.Lock()
        self._failed: tuple[float, str] | None = None  # when and why the last start failed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._running.aclose()

    async def start(self) -> None:
        """Load the model, unless it is loaded; download missing files. Raises SpeakersUnavailable."""
        await self._started()

    async def submit(self, request: Request, priority: int) -> Result:
        """Return the result of a request. Raises SpeakersUnavailable."""
        batcher = await self._started()
        try:
            return await batcher.submit(request, priority)
        except Exception as error:  # from the model, too
            raise SpeakersUnavailable(f"speakers cannot be distinguished: {error}") from error

    async def _started(self) -> Batcher[Request, Result]:
        async with self._starting:
            if self._batcher is not None:
                return self._batcher
            if self._failed is not None and self._clock() - self._failed[0] < RETRY_SECONDS:
                raise SpeakersUnavailable(self._failed[1])
            async with AsyncExitStack() as stack:
                worker = self._new_worker()
                batcher = await stack.enter_async_context(
                    Batcher(worker, max_items=self._max_items, max_waiting=self._max_waiting, learns=False)
                )
                try:
                    await worker.start()
                except Exception as error:
                    why = f"speakers cannot be distinguished: {error or type(error).__name__}"
                    self._failed = self._clock(), why
                    log.warning("speaker_model.not_loaded error=%s", error)
                    raise SpeakersUnavailable(why) from error
                await self._running.enter_async_context(stack.pop_all())
                self._batcher = batcher
                return batcher
