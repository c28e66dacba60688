"""Test that events are sent at once, and that resources are released at the end."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

from server.http.sse import HTTP_TRANSPORT, EventStream

FOR_EVER = 60.0  # seconds


class Connection:
    """One request. `reads` is cleared by a client that does not read, `gone` is set by a disconnect."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.gone = asyncio.Event()
        self.released = False

    async def run(self, events: AsyncGenerator[bytes, None], send_timeout: float = FOR_EVER) -> None:
        resources = AsyncExitStack()
        resources.callback(setattr, self, "released", True)
        stream = EventStream(events, resources, headers={"x-model": "m"}, send_timeout=send_timeout)
        await stream({"type": "http"}, self._receive, self._send)

    @property
    def pieces(self) -> list[bytes]:
        return [message["body"] for message in self.sent[1:]]

    async def _receive(self) -> Any:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.reads.wait()
        self.sent.append(message)


class Transport:
    was_aborted = False

    def abort(self) -> None:
        self.was_aborted = True


async def test_connection_of_a_client_that_does_not_read_is_aborted() -> None:
    connection, transport, stack = Connection(), Transport(), AsyncExitStack()
    sent: list[Any] = []

    async def events() -> AsyncGenerator[bytes, None]:
        yield b"data: 1\n\n"

    async def send(message: Any) -> None:
        if message["type"] != "http.response.start":
            await connection.gone.wait()
        sent.append(message)

    stream = EventStream(events(), stack, headers={}, send_timeout=0.01)
    await stream({"type": "http", HTTP_TRANSPORT: transport}, connection._receive, send)
    assert len(sent) == 1
    assert transport.was_aborted


async def test_each_event_is_one_chunk() -> None:
    connection = Connection()

    async def events() -> AsyncGenerator[bytes, None]:
        yield b"data: 1\n\n"
        assert connection.pieces == [b"data: 1\n\n"]
        yield b"data: 2\n\n"
        assert not connection.released

    await connection.run(events())
    headers = dict(connection.sent[0]["headers"])
    assert headers[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert (headers[b"cache-control"], headers[b"x-model"]) == (b"no-cache", b"m")
    assert connection.pieces == [b"data: 1\n\n", b"data: 2\n\n", b""]
    assert [message["more_body"] for message in connection.sent[1:]] == [True, True, False]
    assert connection.released


async def test_disconnect_closes_the_events_and_releases() -> None:
    connection = Connection()
    closed = False

    async def events() -> AsyncGenerator[bytes, None]:
        nonlocal closed
        try:
            yield b"data: 1\n\n"
            connection.gone.set()
            await asyncio.Event().wait()
        finally:
            closed = True

    await connection.run(events())
    assert (connection.pieces, closed, connection.released) == ([b"data: 1\n\n"], True, True)


async def test_client_that_does_not_read_is_given_up() -> None:
    connection = Connection()
    closed = False

    async def events() -> AsyncGenerator[bytes, None]:
        nonlocal closed
        try:
            connection.reads.clear()
            yield b"data: 1\n\n"
        finally:
            closed = True

    await connection.run(events(), send_timeout=0.01)
    assert (connection.pieces, closed, connection.released) == ([], True, True)
