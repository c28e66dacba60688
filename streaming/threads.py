"""Thread: blocking work beside the event loop, on something that its caller closes afterwards."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


async def run_in_thread_to_completion(
    work: Callable[Arguments, Result], /, *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """As asyncio.to_thread, but who is cancelled leaves only after the work, which no cancellation can stop:
    what it works on is not closed under it. For work that is short by itself."""
    working = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        while not working.done():
            with suppress(asyncio.CancelledError):  # once more: it is raised below
                await asyncio.wait([working])
        if not working.cancelled():
            working.exception()  # nobody will hear of it
        raise
