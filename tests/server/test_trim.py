"""Freed memory goes back to the system."""

import asyncio
import subprocess
import sys

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest

from server.trim import MOST_HEAPS, trim_now_and_then, trimmer
from tests.server.live_server import ROOT


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


COUNT_HEAPS = """
import ctypes, sys, threading
from server.trim import share_heaps

if sys.argv[1] == "shared":
    share_heaps()
met = threading.Barrier(8)

def work():
    met.wait()
    kept = [bytearray(5_000) for _ in range(100)]
    met.wait()

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
library = ctypes.CDLL(None)
library.fopen.restype = ctypes.c_void_p
library.malloc_info(0, file := ctypes.c_void_p(library.fopen(b"/dev/stdout", b"w")))
library.fclose(file)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the C library is glibc's")
def test_threads_share_few_heaps() -> None:
    def heaps(how: str) -> int:
        command = [sys.executable, "-c", COUNT_HEAPS, how]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        return told.count("<heap nr=")

    assert heaps("own") > MOST_HEAPS
    assert heaps("shared") <= MOST_HEAPS


async def test_it_goes_on_until_it_is_cancelled() -> None:
    trimming = asyncio.create_task(trim_now_and_then())
    await asyncio.sleep(0)
    trimming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trimming
