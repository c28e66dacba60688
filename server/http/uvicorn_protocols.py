"""Protocols: uvicorn's, with bounds on what a client can do before and beside what the doors see of it.

Only main.py runs them: uvicorn's own command takes none but its own.
"""

import asyncio
import logging
from typing import ClassVar, Final, cast

import h11
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from server.errors import ClientError
from server.http.request_guard import check_head

log = logging.getLogger(__name__)

MAX_UNREAD: Final = 1 << 20  # bytes that wait to be sent, from which on a ping ends the connection
MAX_FRAGMENTS: Final = 1 << 14  # of one message; one of 22 MiB in pieces of 4 KiB has 5,632


class HttpProtocol(H11Protocol):
    """Closes a connection whose request does not come in time, and one too many as soon as it is there."""

    head_seconds: ClassVar[float] = 10.0  # that the head of a request may take to come
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        if self.limit_concurrency is not None and len(self.connections) > self.limit_concurrency:
            log.warning("more than %d connections: one is closed", self.limit_concurrency)
            self.transport.abort()
        else:
            self._wait_for_a_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._wait_for_a_head()
        else:
            self._wait_no_longer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_longer()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Answers what websockets refuses without a word, too."""
        self._wait_no_longer()
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
        """Where an answer is under way already, its end is all that can be told."""
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def _wait_for_a_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.head_seconds, self._give_up)

    def _wait_no_longer(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        log.info("a connection is closed: no request came")
        self.transport.abort()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Cuts off who asks for more than it reads, or sends a message in endless pieces."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The parser waits for bytes in a frame that holds the connection which holds the parser: left alone,
        each is garbage that only the collector finds, minutes later."""
        super().connection_lost(exc)
        self.conn.parser.close()

    async def send(self, message: ASGISendEvent) -> None:
        """A handshake that was refused is over too; else uvicorn logs that it was never answered."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def handle_ping(self) -> None:
        """uvicorn answers each at once, whether the answers are read or not."""
        if self.transport.get_write_buffer_size() > MAX_UNREAD:
            self._cut_off("it pings and does not read")
        else:
            super().handle_ping()

    def handle_cont(self, event: Frame) -> None:
        """A piece may be empty, so the bound on the bytes of a message bounds no pieces."""
        if len(self.frames) >= MAX_FRAGMENTS:
            self._cut_off("a message in too many pieces")
        else:
            super().handle_cont(event)

    def _cut_off(self, why: str) -> None:
        if not self.transport.is_closing():
            log.info("a connection is cut off: %s", why)
            self.transport.abort()
