"""Lane: blocking calls in a thread, and callers that wait only so long."""

import asyncio
import threading

import pytest

from batching.deadline_thread import NO_DEADLINE, DeadlineThread
from batching.errors import DeadlineExceeded


async def test_calls_run_one_after_another_in_a_thread_that_was_prepared() -> None:
    seen: list[object] = []
    lane = DeadlineThread("lane", lambda: seen.append("begun"))
    await asyncio.gather(*(lane.call(NO_DEADLINE, seen.append, number) for number in range(5)))
    name = await lane.call(NO_DEADLINE, lambda: threading.current_thread().name)
    assert (seen, name) == (["begun", 0, 1, 2, 3, 4], "lane")
    lane.end()


async def test_what_a_call_raises_reaches_the_caller() -> None:
    lane = DeadlineThread("lane")
    with pytest.raises(ValueError, match="invalid literal"):
        await lane.call(60, int, "x")
    assert await lane.call(60, int, "7") == 7
    lane.end()


async def test_a_call_that_takes_too_long_is_waited_for_no_longer_and_goes_on() -> None:
    lane, gate = DeadlineThread("lane"), threading.Event()
    with pytest.raises(DeadlineExceeded, match=r"no answer for 0\.01 s"):
        await lane.call(0.01, gate.wait)
    gate.set()
    assert await lane.call(60, gate.is_set)
    lane.end()


async def test_the_thread_ends_behind_what_it_was_given() -> None:
    seen: list[int] = []
    lane, gate = DeadlineThread("lane"), threading.Event()
    call = asyncio.create_task(lane.call(NO_DEADLINE, gate.wait))
    await asyncio.sleep(0)
    lane.end(lambda: seen.append(1))
    with pytest.raises(DeadlineExceeded):
        await lane.join(0.01)
    gate.set()
    assert await call
    await lane.join(60)
    assert seen == [1]


async def test_a_caller_may_stop_waiting() -> None:
    lane, gate = DeadlineThread("lane"), threading.Event()
    call = asyncio.create_task(lane.call(60, gate.wait))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    gate.set()
    assert await lane.call(60, int, "7") == 7
    lane.end()
