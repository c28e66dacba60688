"""Trim: memory that was freed goes back to the system.

The C library keeps what sessions have left behind in the gaps between what stays. glibc's malloc_trim(3)
gives back whole pages anywhere in the heap. And each thread begins a heap of its own, up to eight for each
core; what was freed in one serves no other, so each of them grows to what the busiest minute took.
"""

import asyncio
import ctypes
import ctypes.util
from collections.abc import Callable
from typing import Final

TRIM_SECONDS: Final = 10.0
MOST_HEAPS: Final = 2
M_ARENA_MAX: Final = -8  # of mallopt(3)


def trimmer() -> Callable[[], None]:
    """Gives memory back, in milliseconds; does nothing where the C library cannot."""
    trim = _of_the_library("malloc_trim")

    def give_back() -> None:
        if trim is not None:
            trim(0)

    return give_back


def share_heaps() -> None:
    """Threads that begin from now on share MOST_HEAPS, where the C library is glibc."""
    mallopt = _of_the_library("mallopt")
    if mallopt is not None:
        mallopt(M_ARENA_MAX, MOST_HEAPS)


async def trim_now_and_then() -> None:
    """In a thread of its own, until it is cancelled."""
    trim = trimmer()
    while True:
        await asyncio.sleep(TRIM_SECONDS)
        await asyncio.to_thread(trim)


def _of_the_library(name: str) -> Callable[..., int] | None:
    """None on a system whose C library is another one."""
    library = ctypes.util.find_library("c")
    loaded = ctypes.CDLL(library) if library else None
    return getattr(loaded, name) if hasattr(loaded, "malloc_trim") else None
