"""Run blocking calls one after another in a thread, for callers that wait only a limited time."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Final, ParamSpec, TypeVar

from batching.errors import DeadlineExceeded

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

TIMEOUT_SLICES: Final = 10
NO_DEADLINE: Final = float("inf")


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
        function: Callable[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Coroutine[Any, Any, Result]:
        """Queue a call and return a coroutine for what it returns or raises.

        Awaiting raises DeadlineExceeded after `seconds`. The call itself then continues, and later calls wait
        for it. The deadline counts only time in which the event loop runs: a program that was stopped for a
        while, together with its models, is not late.
        """
        future: Future[Result] = Future()
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


async def _wait(seconds: float, future: "asyncio.Future[Result]") -> Result:
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


def _resolve(future: "Future[Result]", call: Callable[[], Result]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
