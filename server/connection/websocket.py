"""Socket: a WebSocket as "async for message" and "send event", with bounds."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, Final

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from server.errors import CLOSE_NORMAL, CLOSE_SLOW, CLOSE_TOO_LARGE, ClientError

MAX_REASON: Final = 123  # bytes, RFC 6455 section 5.5


class WebSocketClosed(Exception):
    """The client is gone, or was sent away."""


class BoundedWebSocket:
    """One accepted WebSocket.

    A message of more than `max_message_bytes` ends the connection with 1009. An event that stays unsent for
    `send_timeout` seconds, because the client does not read, ends it with 4013; a client that leaves even the
    close unread for as long is cut off.
    """

    def __init__(self, websocket: WebSocket, *, max_message_bytes: int, send_timeout: float) -> None:
        self._websocket = websocket
        self._max_message_bytes = max_message_bytes
        self._send_timeout = send_timeout
        self.is_open = True
        self.said_goodbye = False  # the client closed it in order, and will not come back

    async def messages(self, idle_seconds: float | None = None) -> AsyncIterator[str | bytes]:
        """The client's messages until it goes away.

        Raises ClientError(message_too_large), and TimeoutError where none came for so long.
        """
        while self.is_open:
            event = await self._receive(idle_seconds)
            if event["type"] == "websocket.disconnect":
                self.said_goodbye = self.is_open and event.get("code") == CLOSE_NORMAL
                self.is_open = False
                return
            text: str | None = event.get("text")
            message = event["bytes"] if text is None else text
            size = _bytes_of(message)
            if size > self._max_message_bytes:
                raise ClientError(
                    "message_too_large",
                    f"A message may hold {self._max_message_bytes} bytes; this one has {size}.",
                    close=CLOSE_TOO_LARGE,
                )
            yield message

    async def _receive(self, idle_seconds: float | None) -> Message:
        if idle_seconds is None:  # nearly always: a timer for each message would cost more than the message
            return await self._websocket.receive()
        async with asyncio.timeout(idle_seconds):
            return await self._websocket.receive()

    async def send(self, event: Mapping[str, object]) -> None:
        """Sends one event. Raises SocketClosed."""
        await self.send_text(orjson.dumps(event))

    async def send_text(self, text: bytes) -> None:
        """Sends one event as it stands, in UTF-8. Raises SocketClosed."""
        if not self.is_open:
            raise WebSocketClosed
        try:
            async with asyncio.timeout(self._send_timeout):
                await self._websocket.send({"type": "websocket.send", "text": text.decode()})
        except TimeoutError:
            await self.close_as_slow()
            raise WebSocketClosed from None
        except (WebSocketDisconnect, RuntimeError):  # starlette has no type for "already closed"
            self.is_open = False
            raise WebSocketClosed from None

    async def close_as_slow(self) -> None:
        """Its client leaves too much unread."""
        await self.close(CLOSE_SLOW, "slow_consumer")

    async def close(self, code: int, reason: str = "") -> None:
        """Closes with a code. Idempotent."""
        if not self.is_open:
            return
        self.is_open = False
        transport = self._websocket.scope.get(TRANSPORT)
        if transport is not None:
            # uvicorn's own close waits for the buffer to drain, so for ever for a client that never reads.
            # A timer, because whoever closes may be cancelled. On what has closed by then it does nothing.
            asyncio.get_running_loop().call_later(self._send_timeout, transport.abort)
        with suppress(WebSocketDisconnect, RuntimeError):
            await self._websocket.close(code, reason.encode()[:MAX_REASON].decode(errors="ignore"))


def _bytes_of(message: str | bytes) -> int:
    if isinstance(message, bytes) or message.isascii():
        return len(message)
    return len(message.encode())


TRANSPORT: Final = "stt.transport"


class TransportMiddleware:
    """Puts the server's transport into the scope of WebSockets, for Socket to abort."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            protocol: Any = getattr(send, "__self__", None)
            scope[TRANSPORT] = getattr(protocol, "transport", None)
        await self._app(scope, receive, send)
