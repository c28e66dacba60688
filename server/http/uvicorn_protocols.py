"""Limit connections in ways that uvicorn's options do not offer, by subclasses of its protocols.

uvicorn's options `http` and `ws` take classes; only main.py passes these. What options can do, main.py sets
there: the number of connections, the size of a message, keep-alive pings. Each override below says what is
missing in uvicorn 0.54; remove it once uvicorn has it. The tests fail if any override is removed.
"""

import asyncio
import logging
from typing import Any, ClassVar, Final, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from server.errors import ClientError
from server.http.request_guard import check_head
from server.http.sse import HTTP_TRANSPORT

log = logging.getLogger(__name__)

MAX_UNREAD: Final = 1 << 20  # bytes in the write buffer above which a ping ends the connection
MAX_FRAGMENTS: Final = 1 << 14  # of one message; one of 22 MiB in pieces of 4 KiB has 5,632


class HttpProtocol(H11Protocol):
    """Close a connection if a request's head does not arrive in time, or if there are too many connections.

    `timeout_keep_alive` starts only after a response, and any byte ends it. `limit_concurrency` answers 503
    once a request has arrived; a connection that sends none is not counted out.
    """

    head_seconds: ClassVar[float] = 10.0  # from the connection, or from the last request, to a whole head
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        if self.limit_concurrency is not None and len(self.connections) > self.limit_concurrency:
            log.warning("connection.refused reason=limit max=%d", self.limit_concurrency)
            self.transport.abort()
        else:
            self._start_head_timer()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None:  # its task has not begun yet
            self.cycle.scope[HTTP_TRANSPORT] = self.transport  # type: ignore[typeddict-unknown-key]
        if self.conn.their_state is h11.IDLE:
            self._start_head_timer()
        else:
            self._stop_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timer, which would hold the connection and log that it was closed."""
        self._stop_head_timer()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Answer a handshake that websockets cannot parse, which it refuses without a response."""
        self._stop_head_timer()
        try:
            check_head(len(event.target), self.headers)
        except ClientError as error:
            self.send_400_response(error.message)
            return
        super().handle_websocket_upgrade(event)
        websocket = cast(WebSocketsSansIOProtocol, self.transport.get_protocol())
        if not websocket.handshake_initiated:
            self.send_400_response("This is no WebSocket handshake.")

    def send_400_response(self, msg: str) -> None:
        """Close without a 400 if a response was sent already: h11 raises for a second one."""
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def _start_head_timer(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.head_seconds, self._on_head_timeout)

    def _stop_head_timer(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_head_timeout(self) -> None:
        self._deadline = None
        log.info("connection.closed reason=no_request")
        self.transport.abort()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Abort a connection if its pongs are not read, or if a message has too many fragments.

    `ws_max_size` bounds the bytes of a message, not its fragments, and `ws_max_queue` is of another class.
    """

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the parser of websockets.

        It is a generator in a reference cycle with its connection, which only the garbage collector would
        free, minutes later.
        """
        super().connection_lost(exc)
        self.conn.parser.close()

    async def send(self, message: Any) -> None:
        """Mark a refused handshake as complete; uvicorn would log that it was never answered."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def handle_ping(self) -> None:
        """Bound the pongs that the client does not read; uvicorn's are unbounded."""
        if self.transport.get_write_buffer_size() > MAX_UNREAD:
            self._abort("unread_pongs")
        else:
            super().handle_ping()

    def handle_cont(self, event: Frame) -> None:
        """Bound the fragments of a message: empty ones do not count towards `ws_max_size`."""
        if len(self.frames) >= MAX_FRAGMENTS:
            self._abort("too_many_fragments")
        else:
            super().handle_cont(event)

    def _abort(self, reason: str) -> None:
        if not self.transport.is_closing():
            log.info("connection.aborted reason=%s", reason)
            self.transport.abort()
