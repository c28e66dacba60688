"""Blocking calls run in a thread, and their callers wait only a limited time."""

import asyncio
import threading

import pytest

from batching.deadline_thread import NO_DEADLINE, DeadlineThread
from batching.errors import DeadlineExceeded


async def test_calls_run_one_after_another_in_a_thread_that_was_prepared() -> None:
    seen: list[object] = []
    thread = DeadlineThread("thread", lambda: seen.append("begun"))
    await asyncio.gather(*(thread.call(NO_DEADLINE, seen.append, number) for number in range(5)))
    name = await thread.call(NO_DEADLINE, lambda: threading.current_thread().name)
    assert (seen, name) == (["begun", 0, 1, 2, 3, 4], "thread")
    thread.end()


async def test_what_a_call_raises_reaches_the_caller() -> None:
    thread = DeadlineThread("thread")
    with pytest.raises(ValueError, match="invalid literal"):
        await thread.call(60, int, "x")
    assert await thread.call(60, int, "7") == 7
    thread.end()


async def test_a_call_that_takes_too_long_is_waited_for_no_longer_and_goes_on() -> None:
    thread, gate = DeadlineThread("thread"), threading.Event()
    with pytest.raises(DeadlineExceeded, match=r"no answer for 0\.01 s"):
        await thread.call(0.01, gate.wait)
    gate.set()
    assert await thread.call(60, gate.is_set)
    thread.end()


async def test_the_thread_ends_behind_what_it_was_given() -> None:
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


async def test_a_caller_may_stop_waiting() -> None:
    thread, gate = DeadlineThread("thread"), threading.Event()
    call = asyncio.create_task(thread.call(60, gate.wait))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    gate.set()
    assert await thread.call(60, int, "7") == 7
    thread.end()
