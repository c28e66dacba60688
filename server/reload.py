"""Reload: SIGUSR1 loads the recognizers again, from files that may have changed."""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def reloaded_on_signal(reload: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Within it SIGUSR1 awaits `reload`; one that comes before the last is done with changes nothing."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGUSR1"):
        yield  # signals belong to the main thread, and Windows has none of this kind
        return
    loop = asyncio.get_running_loop()
    reloading: set[asyncio.Task[None]] = set()

    def begin() -> None:
        if not reloading:
            task = asyncio.create_task(reload(), name="reload")
            reloading.add(task)
            task.add_done_callback(reloading.discard)

    loop.add_signal_handler(signal.SIGUSR1, begin)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)
        for task in reloading:
            task.cancel()
