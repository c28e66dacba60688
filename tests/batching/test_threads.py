"""Blocking calls run in a thread, and their callers wait only a limited time."""

import asyncio
import threading

import pytest

from batching.errors import DeadlineExceeded
from batching.threads import NO_DEADLINE, DeadlineThread


async def test_calls_run_in_order_in_a_prepared_thread() -> None:
    seen: list[object] = []
    thread = DeadlineThread("thread", lambda: seen.append("begun"))
    await asyncio.gather(*(thread.call(NO_DEADLINE, seen.append, number) for number in range(5)))
    name = await thread.call(NO_DEADLINE, lambda: threading.current_thread().name)
    assert (seen, name) == (["begun", 0, 1, 2, 3, 4], "thread")
    thread.end()


async def test_error_of_a_call_reaches_its_caller() -> None:
    thread = DeadlineThread("thread")
    with pytest.raises(ValueError, match="invalid literal"):
        await thread.call(60, int, "x")
    assert await thread.call(60, int, "7") == 7
    thread.end()


async def test_call_beyond_its_deadline_is_not_waited_for() -> None:
    thread, gate = DeadlineThread("thread"), threading.Event()
    with pytest.raises(DeadlineExceeded, match=r"no answer for 0\.01 s"):
        await thread.call(0.01, gate.wait)
    gate.set()
    assert await thread.call(60, gate.is_set)
    thread.end()


async def test_thread_ends_after_its_pending_calls() -> None:
    seen: list[int] = []
    thread, gate = DeadlineThread("thread"), threading.Event()
    call = asyncio.create_task(thread.call(NO_DEADLINE, gate.wait))
    await asyncio.sleep(0)
    thread.end(lambda: seen.append(1))
    with pytest.raises(DeadlineExceeded):
        await thread.join(0.01)
    gate.set()
    assert await call
    await thread.join(60)
    assert seen == [1]


async def test_caller_may_stop_waiting() -> None:
    thread, gate = DeadlineThread("thread"), threading.Event()
    call = asyncio.create_task(thread.call(60, gate.wait))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    gate.set()
    assert await thread.call(60, int, "7") == 7
    thread.end()
