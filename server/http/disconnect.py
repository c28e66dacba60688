"""Cancel the work for a request whose client disconnects."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect
from starlette.types import Receive


@asynccontextmanager
async def cancel_on_disconnect(receive: Receive) -> AsyncIterator[None]:
    """Cancel the body of the context when the client disconnects, then raise ClientDisconnect.

    receive: of a request whose body was read to its end
    """
    loop = asyncio.get_running_loop()
    ending = asyncio.timeout(None)

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        ending.reschedule(loop.time())

    try:
        async with ending:
            watcher = asyncio.create_task(watch(), name="watch for disconnect")
            try:
                yield
            finally:
                watcher.cancel()
    except TimeoutError:
        if not ending.expired():
            raise
        raise ClientDisconnect from None
