"""Run blocking calls, or a model, in a thread of their own, for callers that wait only a limited time."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Final, Generic, ParamSpec, TypeVar

from batching.errors import DeadlineExceeded, ModelBroken, breaks_its_process
from batching.model_process import Build, Call, Describe, Item, Model, Result, lower_priority
from batching.worker import CLOSE_SECONDS, Deadline, NullObserver, WorkerObserver, describe_nothing

Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")

TIMEOUT_SLICES: Final = 10
NO_DEADLINE: Final = float("inf")
NO_LIMIT: Final = 1 << 62


class DeadlineThread:
    """Run calls in one daemon thread, which starts with the first call.

    A call that never returns blocks neither the event loop nor the end of the program.
    """

    def __init__(self, name: str, on_start: Callable[[], None] = lambda: None) -> None:
        """Name the thread; it calls `on_start` before anything else."""
        self._name = name
        self._on_start = on_start
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._ended: Future[None] = Future()
        self._thread: threading.Thread | None = None

    def call(
        self,
        seconds: float,
        function: Callable[Arguments, Returned],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Coroutine[Any, Any, Returned]:
        """Queue a call and return a coroutine for what it returns or raises.

        Awaiting raises DeadlineExceeded after `seconds`. The call itself then continues, and later calls wait
        for it. The deadline counts only time in which the event loop runs: a program that was stopped for a
        while, together with its models, is not late.
        """
        future: Future[Returned] = Future()
        self._post(lambda: _resolve(future, lambda: function(*args, **kwargs)))
        return _wait(seconds, asyncio.wrap_future(future))

    def end(self, last: Callable[[], None] = lambda: None) -> None:
        """Let the thread end after the calls that are queued and one last call."""
        self._post(last)
        self._calls.put(None)

    async def join(self, seconds: float) -> None:
        """Wait for the thread to end, after `end`. Raises DeadlineExceeded."""
        waiter: Future[None] = Future()  # not `_ended` itself, which a caller that stops waiting would cancel
        self._ended.add_done_callback(lambda _: _resolve(waiter, lambda: None))
        await _wait(seconds, asyncio.wrap_future(waiter))

    def _post(self, call: Callable[[], None]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=_serve, args=(self._calls, self._on_start, self._ended), name=self._name, daemon=True
            )
            self._thread.start()
        self._calls.put(call)


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
        describe: Describe[Model] = describe_nothing,
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


async def _wait(seconds: float, future: "asyncio.Future[Returned]") -> Returned:
    try:
        if seconds == NO_DEADLINE:
            return await future
        for _ in range(TIMEOUT_SLICES):
            done, _ = await asyncio.wait((future,), timeout=seconds / TIMEOUT_SLICES)
            if done:
                return future.result()
        raise DeadlineExceeded(f"no answer for {seconds:.3g} s")
    finally:
        future.cancel()  # without effect on one that is done


def _serve(
    calls: "SimpleQueue[Callable[[], None] | None]", on_start: Callable[[], None], ended: "Future[None]"
) -> None:
    on_start()
    while (call := calls.get()) is not None:
        call()
        del call  # it refers to a batch of audio, which must not be kept until the next call
    _resolve(ended, lambda: None)


def _resolve(future: "Future[Returned]", call: Callable[[], Returned]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
