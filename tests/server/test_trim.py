"""Freed memory goes back to the system."""

import asyncio
import sys

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest

from server.trim import trim_now_and_then, trimmer


@pytest.mark.skipif(sys.platform != "linux", reason="the C library is glibc's")
def test_what_lies_between_what_stays_is_given_back() -> None:
    process = psutil.Process()
    pieces = [np.ones(8_000, np.uint8) for _ in range(8_000)]  # 64 MB in pieces that malloc keeps to itself
    stays = pieces[::50]
    pieces.clear()
    before = process.memory_info().rss
    trimmer()()
    assert before - process.memory_info().rss > 30e6
    assert all(piece.all() for piece in stays)


async def test_it_goes_on_until_it_is_cancelled() -> None:
    trimming = asyncio.create_task(trim_now_and_then())
    await asyncio.sleep(0)
    trimming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trimming
