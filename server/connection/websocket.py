"""Read and write a WebSocket within bounds of size and time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from server.connection.message_spool import MessageSpool
from server.errors import CLOSE_NORMAL, CLOSE_SLOW, CLOSE_TOO_LARGE, ClientError, overloaded

MAX_REASON: Final = 123  # bytes, RFC 6455 section 5.5
MAX_CHARACTER_BYTES: Final = 4  # in UTF-8


class WebSocketClosed(Exception):
    """The connection is closed, by the client or by the server."""


class BoundedWebSocket:
    """Wrap an accepted WebSocket.

    A message of more than `max_message_bytes` ends the connection with 1009. A message that stays unsent for
    `send_timeout` seconds, because the client does not read, ends it with 4013; if the client leaves even the
    close unread for as long, the connection is aborted.
    """

    def __init__(self, websocket: WebSocket, *, max_message_bytes: int, send_timeout: float) -> None:
        self._websocket = websocket
        self._max_message_bytes = max_message_bytes
        self._send_timeout = send_timeout
        self.is_open = True
        self.is_waiting = False  # every received message has been handled, and the next one is awaited
        self.closed_by_client = False  # with the normal close code, so the client will not resume
        self._early = MessageSpool()

    @asynccontextmanager
    async def reading_ahead(self, max_bytes: int, on_end: Callable[[], None]) -> AsyncIterator[None]:
        """Keep the messages that arrive in this context for `messages`, so that pings are answered meanwhile.

        After `max_bytes` nothing more is read, and the client must wait.
        on_end: called if the connection is closed, or a message cannot be kept

        Raises ClientError on exit if a message could not be kept.
        """
        reading = asyncio.create_task(self._read_ahead(max_bytes), name="read ahead")
        reading.add_done_callback(lambda task: None if task.cancelled() else on_end())
        try:
            yield
        finally:
            reading.cancel()
            await asyncio.wait([reading])
            if not reading.cancelled():
                reading.result()

    async def _read_ahead(self, max_bytes: int) -> None:
        async for message in self.messages(early=False):
            await self._keep(message)
            if self._early.size >= max_bytes:
                await asyncio.Event().wait()

    async def _keep(self, message: str | bytes) -> None:
        try:
            await self._early.add(message)
        except OSError as error:
            raise overloaded(f"Audio cannot be stored before the session begins: {error}") from error

    async def peek(self) -> AsyncGenerator[str | bytes, None]:
        """Yield the client's next messages; `messages` yields them again. Raises ClientError."""
        async for message in self.messages(early=False):
            await self._keep(message)
            yield message

    def forget_early(self) -> None:
        """Drop the kept messages."""
        self._early.close()

    async def discard(self) -> None:
        """Read and drop messages until the connection is closed, so that pings are answered."""
        while self.is_open:
            event = await self._websocket.receive()
            if event["type"] == "websocket.disconnect":
                self._on_disconnect(event)

    def _on_disconnect(self, event: Mapping[str, Any]) -> None:
        self.closed_by_client = self.is_open and event.get("code") == CLOSE_NORMAL
        self.is_open = False

    async def messages(
        self, idle_seconds: float | None = None, *, early: bool = True
    ) -> AsyncIterator[str | bytes]:
        """Yield the client's messages until the connection is closed.

        early: whether those come first that were kept for this
        Raises ClientError(message_too_large), and TimeoutError if no message arrives for `idle_seconds`.
        """
        while early and (kept := await self._early.take()) is not None:
            yield kept
        receive, max_bytes = self._websocket.receive, self._max_message_bytes
        while self.is_open:
            self.is_waiting = True
            if idle_seconds is None:  # a timer for each message would cost more than the message
                event = await receive()
            else:
                async with asyncio.timeout(idle_seconds):
                    event = await receive()
            self.is_waiting = False
            if event["type"] == "websocket.disconnect":
                self._on_disconnect(event)
                return
            text: str | None = event.get("text")
            message = event["bytes"] if text is None else text
            # A character takes at most MAX_CHARACTER_BYTES, so only long messages need to be measured.
            if len(message) * MAX_CHARACTER_BYTES > max_bytes and (size := _bytes_of(message)) > max_bytes:
                raise ClientError(
                    "message_too_large",
                    f"A message may hold {max_bytes} bytes; this one has {size}.",
                    close=CLOSE_TOO_LARGE,
                )
            yield message

    async def send(self, event: Mapping[str, object]) -> None:
        """Send a message. Raises WebSocketClosed."""
        await self.send_text(orjson.dumps(event))

    async def send_text(self, text: bytes) -> None:
        """Send a message that is encoded as UTF-8. Raises WebSocketClosed."""
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
        """Close because the client leaves too much unread."""
        await self.close(CLOSE_SLOW, "slow_consumer")

    async def close(self, code: int, reason: str = "") -> None:
        """Close with a code. Idempotent."""
        if not self.is_open:
            return
        self.is_open = False
        transport = self._websocket.scope.get(TRANSPORT)
        if transport is not None:
            # uvicorn's own close waits for the buffer to drain, so for ever for a client that never reads.
            # A timer, because the closing task may be cancelled. On a closed transport it does nothing.
            asyncio.get_running_loop().call_later(self._send_timeout, transport.abort)
        with suppress(WebSocketDisconnect, RuntimeError):
            await self._websocket.close(code, reason.encode()[:MAX_REASON].decode(errors="ignore"))


def _bytes_of(message: str | bytes) -> int:
    if isinstance(message, bytes) or message.isascii():
        return len(message)
    return len(message.encode())


TRANSPORT: Final = "stt.transport"


class TransportMiddleware:
    """Put the server's transport into the scope of WebSockets, so that BoundedWebSocket can abort it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            protocol: Any = getattr(send, "__self__", None)
            scope[TRANSPORT] = getattr(protocol, "transport", None)
        await self._app(scope, receive, send)
