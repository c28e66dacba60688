"""Hanging up: a client that goes away ends the work that was done for it."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

log = logging.getLogger(__name__)


@asynccontextmanager
async def until_hung_up(receive: Receive) -> AsyncIterator[None]:
    """Cancels what stands in it when the client goes away, and then raises ClientDisconnect.

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
            watcher = asyncio.create_task(watch(), name="watch for hanging up")
            try:
                yield
            finally:
                watcher.cancel()
    except TimeoutError:
        if not ending.expired():
            raise
        raise ClientDisconnect from None


class EventStream(StreamingResponse):
    """Server-sent events, sent as they come.

    holding: what is held until the last one has left
    send_timeout: seconds after which a client that does not read is left
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        holding: AsyncExitStack,
        *,
        headers: Mapping[str, str],
        send_timeout: float,
    ) -> None:
        super().__init__(events, headers={"cache-control": "no-cache", **headers})
        self._events = events
        self._holding = holding
        self._send_timeout = send_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_part(data: bytes, *, more: bool) -> None:
            async with asyncio.timeout(self._send_timeout):
                await send({"type": "http.response.body", "body": data, "more_body": more})

        async with self._holding:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            try:
                async with until_hung_up(receive), aclosing(self._events) as events:
                    async for event in events:
                        await send_part(event, more=True)
                    await send_part(b"", more=False)
            except (ClientDisconnect, TimeoutError) as error:
                log.info("the client hung up, or does not read: %r", error)
