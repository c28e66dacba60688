"""Test that blocking work ends before its caller."""

import asyncio
import threading

import pytest

from streaming.threads import run_in_thread_to_completion


async def test_result_and_error_of_the_work_are_passed_on() -> None:
    assert await run_in_thread_to_completion(int, "ff", base=16) == 255
    with pytest.raises(ValueError, match="invalid literal"):
        await run_in_thread_to_completion(int, "no number")


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("cancels", [1, 2])
async def test_cancelled_caller_waits_for_the_work(fails: bool, cancels: int) -> None:
    began, go_on = asyncio.Event(), threading.Event()
    loop, ended = asyncio.get_running_loop(), []

    def work() -> None:
        loop.call_soon_threadsafe(began.set)
        go_on.wait()
        ended.append(True)
        if fails:
            raise ValueError

    caller = asyncio.create_task(run_in_thread_to_completion(work))
    await began.wait()
    for _ in range(cancels):
        caller.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert not caller.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended
