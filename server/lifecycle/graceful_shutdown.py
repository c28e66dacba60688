"""Finish every open segment on SIGTERM or Ctrl-C before the server stops.

uvicorn closes all WebSockets as soon as it receives a signal, and the last utterances would be lost. So our
handlers replace uvicorn's while the application runs, and call them after draining. A second signal stops the
server at once.
"""

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import copy_context
from types import FrameType
from typing import Any, Final

log = logging.getLogger(__name__)

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

Handler = Callable[[int, FrameType | None], Any] | int | None


@asynccontextmanager
async def drained_on_signal(drain: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Within the context, await `drain` on the first SIGTERM or SIGINT, then call the previous handler."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can handle signals
        return
    loop = asyncio.get_running_loop()
    outside = copy_context()  # a signal may interrupt a session; its context must not be used
    previous: dict[int, Handler] = {number: signal.getsignal(number) for number in SIGNALS}
    draining: list[asyncio.Task[None]] = []

    async def drain_and_pass_on(number: int) -> None:
        try:
            await drain()
        finally:
            _pass_on(previous[number], number)

    def begin_or_cancel(number: int) -> None:
        if not draining:
            draining.append(asyncio.create_task(drain_and_pass_on(number), name="drain"))
        elif not draining[0].cancel():  # draining has ended: pass on a third signal
            _pass_on(previous[number], number)

    def on_signal(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(begin_or_cancel, number, context=outside)

    for number in SIGNALS:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for caught, handler in previous.items():
            signal.signal(caught, handler)


def _pass_on(handler: Handler, number: int) -> None:
    if callable(handler):
        handler(number, None)
    elif handler == signal.SIG_DFL:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
