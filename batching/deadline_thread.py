"""Lane: a thread that runs one blocking call after another, for a caller that waits only so long."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Final, ParamSpec, TypeVar

from batching.errors import DeadlineExceeded

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

SLICES: Final = 10
FOR_EVER: Final = float("inf")


class DeadlineThread:
    """A daemon thread, begun with the first call: one that never returns holds up neither the event loop nor
    the end of the program. begin: called first of all in the thread."""

    def __init__(self, name: str, begin: Callable[[], None] = lambda: None) -> None:
        self._name = name
        self._begin = begin
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._over: Future[None] = Future()
        self._thread: threading.Thread | None = None

    async def call(
        self,
        seconds: float,
        function: Callable[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """What the function returns or raises, once those before it have returned.

        Raises Overdue after so many seconds; the call goes on, and those behind it wait for it. Time counts
        only while the event loop runs: who was stopped for a while, and his models with him, is not late.
        """
        future: Future[Result] = Future()
        self._post(lambda: _settle(future, lambda: function(*args, **kwargs)))
        return await _within(seconds, asyncio.wrap_future(future))

    def end(self, last: Callable[[], None] = lambda: None) -> None:
        """Lets the thread end behind what it has been given, and one last call."""
        self._post(last)
        self._calls.put(None)

    async def join(self, seconds: float) -> None:
        """Waits for its end, after `end`. Raises Overdue."""
        waiter: Future[None] = Future()  # of its own: who stops waiting cancels it
        self._over.add_done_callback(lambda _: _settle(waiter, lambda: None))
        await _within(seconds, asyncio.wrap_future(waiter))

    def _post(self, call: Callable[[], None]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=_serve, args=(self._calls, self._begin, self._over), name=self._name, daemon=True
            )
            self._thread.start()
        self._calls.put(call)


async def _within(seconds: float, future: "asyncio.Future[Result]") -> Result:
    try:
        if seconds == FOR_EVER:
            return await future
        for _ in range(SLICES):
            done, _ = await asyncio.wait((future,), timeout=seconds / SLICES)
            if done:
                return future.result()
        raise DeadlineExceeded(f"no answer for {seconds:.3g} s")
    finally:
        future.cancel()  # nobody waits for it any more


def _serve(
    calls: "SimpleQueue[Callable[[], None] | None]", begin: Callable[[], None], over: "Future[None]"
) -> None:
    begin()
    while (call := calls.get()) is not None:
        call()
        del call  # a batch of sound, which is not to be kept until the next one
    _settle(over, lambda: None)


def _settle(future: "Future[Result]", call: Callable[[], Result]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
