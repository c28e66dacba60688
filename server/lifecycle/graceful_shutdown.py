"""Drain: SIGTERM and Ctrl-C first let every open segment be finished, then stop the server.

uvicorn closes all WebSockets the moment it is told to stop; their last words would be lost. So its handlers
are put behind ours for as long as the application lives, whoever started it. A second signal stops at once.
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
    """Within it the first SIGTERM or SIGINT awaits `drain` before it goes to the handler it was meant for."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals belong to the main thread; whoever runs us elsewhere stops us by other means
        return
    loop = asyncio.get_running_loop()
    outside = copy_context()  # a signal interrupts anything, a session too, whose context is not its own
    theirs: dict[int, Handler] = {number: signal.getsignal(number) for number in SIGNALS}
    draining: list[asyncio.Task[None]] = []

    async def drain_and_pass_on(number: int) -> None:
        try:
            await drain()
        finally:
            _pass_on(theirs[number], number)

    def begin(number: int) -> None:
        if not draining:
            draining.append(asyncio.create_task(drain_and_pass_on(number), name="drain"))
        elif not draining[0].cancel():  # it is over: a third signal is uvicorn's
            _pass_on(theirs[number], number)

    def on_signal(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(begin, number, context=outside)

    for caught in SIGNALS:
        signal.signal(caught, on_signal)
    try:
        yield
    finally:
        for number, handler in theirs.items():
            signal.signal(number, handler)


def _pass_on(handler: Handler, number: int) -> None:
    if callable(handler):
        handler(number, None)
    elif handler == signal.SIG_DFL:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
