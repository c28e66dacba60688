"""Trim: memory that was freed goes back to the system.

The C library keeps what sessions have left behind in the gaps between what stays, 40 KB of each, and asks for
more: in half an hour of sessions that came and went the process grew by half. glibc's malloc_trim(3) gives
back whole pages anywhere in the heap.
"""

import asyncio
import ctypes
import ctypes.util
from collections.abc import Callable
from typing import Final

TRIM_SECONDS: Final = 10.0


def trimmer() -> Callable[[], None]:
    """Gives memory back, in milliseconds; does nothing where the C library cannot."""
    library = ctypes.util.find_library("c")
    trim = getattr(ctypes.CDLL(library), "malloc_trim", None) if library else None
    return (lambda: None) if trim is None else (lambda: trim(0))


async def trim_now_and_then() -> None:
    """In a thread of its own, until it is cancelled."""
    trim = trimmer()
    while True:
        await asyncio.sleep(TRIM_SECONDS)
        await asyncio.to_thread(trim)
