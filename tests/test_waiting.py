"""A wait ends when its condition holds; where it never does, the failure names the condition."""

import asyncio

import pytest

from tests.waiting import until, wait_until


async def test_until_lets_the_event_loop_run() -> None:
    seen: list[int] = []
    asyncio.get_running_loop().call_later(0.01, seen.append, 1)
    await until(lambda: seen)
    assert seen == [1]


async def test_a_missed_condition_is_named() -> None:
    never = False
    with pytest.raises(AssertionError, match=r"not within 0\.01 s: await until\(lambda: never"):
        await until(lambda: never, seconds=0.01)
    with pytest.raises(AssertionError, match=r"not within 0\.01 s: wait_until\(lambda: never"):
        wait_until(lambda: never, seconds=0.01)
