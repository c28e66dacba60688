"""Wait for a state that no event reports. Every wait has a deadline and names what it waited for."""

import asyncio
import inspect
import time
from collections.abc import Callable

PATIENCE = 30.0  # seconds; a machine may be busy
_TURNS = 100  # of the event loop before the first real sleep
_LONGEST_SLEEP = 0.02  # seconds


async def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until the condition holds; let the event loop run meanwhile.

    Looks once after each turn of the loop, then each millisecond, and then less often.
    Raises AssertionError, which names the condition, if it does not hold within the given seconds.
    """
    end, turns, sleep = time.monotonic() + seconds, 0, 0.001
    while not condition():
        assert time.monotonic() < end, _missed(condition, seconds)
        turns += 1
        if turns < _TURNS:
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(sleep)
            sleep = min(1.1 * sleep, _LONGEST_SLEEP)


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until the condition holds, in code without an event loop.

    Raises AssertionError as `until` does.
    """
    end, sleep = time.monotonic() + seconds, 0.005
    while not condition():
        assert time.monotonic() < end, _missed(condition, seconds)
        time.sleep(sleep)
        sleep = min(1.1 * sleep, 5 * _LONGEST_SLEEP)  # The condition is often a request to a server.


def _missed(condition: Callable[[], object], seconds: float) -> str:
    try:
        wanted = inspect.getsource(condition).strip()
    except (OSError, TypeError):  # it has no source that can be read
        wanted = repr(condition)
    return f"not within {seconds} s: {wanted}"
