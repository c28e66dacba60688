"""Send server-sent events as a response."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Final

import orjson
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from server.http.disconnect import cancel_on_disconnect

log = logging.getLogger(__name__)

KEEP_ALIVE: Final = b": keep-alive\n\n"  # a comment
KEEP_ALIVE_SECONDS: Final = 15.0  # proxies close connections on which nothing is sent
HTTP_TRANSPORT: Final = "stt.http_transport"  # key in the scope, set by HttpProtocol: the connection


def encoded_event(fields: object, name: str | None = None) -> bytes:
    """Return an event whose data are the fields as JSON; name: of the event, None for `message`."""
    head = b"" if name is None else b"event: %s\n" % name.encode()
    return b"%sdata: %s\n\n" % (head, orjson.dumps(fields))


class EventStream(StreamingResponse):
    """Send each event as soon as it is available.

    events: whole events, encoded
    resources: resources that are released when the response has ended
    send_timeout: seconds after which a send to a client that does not read is given up
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        resources: AsyncExitStack,
        *,
        headers: Mapping[str, str],
        send_timeout: float,
    ) -> None:
        super().__init__(events, headers={"cache-control": "no-cache", **headers})
        self._events = events
        self._resources = resources
        self._send_timeout = send_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_part(data: bytes, *, more: bool) -> None:
            async with asyncio.timeout(self._send_timeout):
                await send({"type": "http.response.body", "body": data, "more_body": more})

        async with self._resources:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            try:
                async with cancel_on_disconnect(receive), aclosing(self._events) as events:
                    async for event in events:
                        await send_part(event, more=True)
                    await send_part(b"", more=False)
            except (ClientDisconnect, TimeoutError) as error:
                log.info("sse.aborted error=%r", error)
                # uvicorn would wait until the client has read what is in the buffer, so for ever.
                if (transport := scope.get(HTTP_TRANSPORT)) is not None:
                    transport.abort()
