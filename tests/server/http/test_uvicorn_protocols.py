"""Test the limits on connections that uvicorn's options do not offer."""

import asyncio
import gc
import socket
import struct
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from server.http.uvicorn_protocols import MAX_FRAGMENTS, MAX_UNREAD, HttpProtocol, WebSocketProtocol
from tests.server.raw_websocket import RawClient
from tests.waiting import until, wait_until

HANDSHAKE = (
    b"Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


class HastyProtocol(HttpProtocol):
    head_seconds = 0.05


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer every request, reading its body but at /early, and take a WebSocket's messages but at /no."""
    if scope["type"] == "websocket":
        await receive()
        if scope["path"] == "/no":
            await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"no"})
            return
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    while scope["path"] != "/early" and (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@contextmanager
def listening(http: type[HttpProtocol] = HttpProtocol, most: int | None = None) -> Iterator[uvicorn.Server]:
    config = uvicorn.Config(
        app,
        "127.0.0.1",
        0,
        http=http,
        ws=WebSocketProtocol,
        lifespan="off",
        log_config=None,
        limit_concurrency=most,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    try:
        yield server
    finally:
        server.should_exit = True
        thread.join()


def port_of(server: uvicorn.Server) -> int:
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port


def dial(server: uvicorn.Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port_of(server)), timeout=20)


def answer_to(server: uvicorn.Server, request: bytes, more: bytes = b"") -> bytes:
    """Return all data until the server closes the connection."""
    with dial(server) as line:
        line.sendall(request)
        told = line.recv(1 << 16)
        with suppress(ConnectionError):
            line.sendall(more)
        return told + rest_of(line)


def rest_of(line: socket.socket) -> bytes:
    """Wait until the server closes or resets the connection."""
    told = b""
    with suppress(ConnectionError):
        while piece := line.recv(1 << 16):
            told += piece
    return told


def send_until_cut_off(
    line: socket.socket, data: bytes, after_each: Callable[[], None] = lambda: None
) -> None:
    with suppress(ConnectionError):
        while True:
            line.sendall(data)
            after_each()


@pytest.fixture(scope="module")
def server() -> Iterator[uvicorn.Server]:
    with listening() as running:
        yield running


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"G"])
def test_connection_without_a_request_is_closed(said: bytes) -> None:
    with listening(HastyProtocol) as server, dial(server) as line:
        line.sendall(said)
        assert rest_of(line) == b""


class Timer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.is_set = True

    def cancel(self) -> None:
        self.is_set = False


class Clock:
    """An event loop whose timers go off when the test says so."""

    def __init__(self) -> None:
        self._timers: list[Timer] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        assert delay == HttpProtocol.head_seconds
        self._timers.append(Timer(callback))
        return self._timers[-1]

    def rings(self) -> None:
        for timer in self._timers:
            if timer.is_set:
                timer.callback()

    def create_task(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        return asyncio.get_running_loop().create_task(work)


class Wire(asyncio.Transport):
    """A transport that knows what was written to it, and whether it was cut off."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_cut_off = False

    def write(self, data: Any) -> None:
        self.written += data

    def abort(self) -> None:
        self.is_cut_off = True

    def close(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self.is_cut_off

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def connected() -> tuple[HttpProtocol, Clock, Wire]:
    clock, wire = Clock(), Wire()
    config = uvicorn.Config(app, http=HttpProtocol, ws=WebSocketProtocol, lifespan="off", log_config=None)
    config.timeout_keep_alive = int(HttpProtocol.head_seconds)
    protocol = HttpProtocol(config, ServerState(), {}, cast(asyncio.AbstractEventLoop, clock))
    protocol.connection_made(wire)
    return protocol, clock, wire


HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n"


@pytest.mark.parametrize("said", [b"", b"P", HEAD[:-1]])
async def test_incomplete_head_closes_the_connection_in_time(said: bytes) -> None:
    protocol, clock, wire = await connected()
    for byte in said:
        protocol.data_received(bytes([byte]))
    clock.rings()
    assert wire.is_cut_off


async def test_a_body_has_more_time_than_a_head() -> None:
    protocol, clock, wire = await connected()
    for byte in HEAD + b"x":
        protocol.data_received(bytes([byte]))
    clock.rings()
    assert not wire.is_cut_off


async def test_second_request_has_the_same_timeout() -> None:
    protocol, clock, wire = await connected()
    protocol.data_received(HEAD + b"xy")
    await until(lambda: b"ok" in wire.written)
    protocol.data_received(b"POST / HT")  # which calls off the timer of an idle connection
    clock.rings()
    assert wire.is_cut_off


def test_connection_above_the_limit_is_closed() -> None:
    with listening(most=3) as server:
        kept = [dial(server) for _ in range(2)]
        wait_until(lambda: len(server.server_state.connections) == 2)
        extra = [dial(server) for _ in range(8)]
        wait_until(lambda: len(server.server_state.connections) == 3)
        for line in (*kept, *extra):
            line.close()
        wait_until(lambda: not server.server_state.connections)
        assert answer_to(server, b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /?" + b"x" * 9_000 + b" HTTP/1.1\r\n" + HANDSHAKE + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HANDSHAKE + b"X: " + b"y" * 9_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HANDSHAKE + b"X: y\r\n" * 130 + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HANDSHAKE + b"Content-Length: 4\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
    ids=["long URL", "long header", "many headers", "a body", "no key"],
)
def test_invalid_handshake_is_answered_and_closed(
    server: uvicorn.Server, request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert answer_to(server, request_, b"more" * 10).startswith(b"HTTP/1.1 400")
    assert [record for record in caplog.records if record.exc_info] == []


CHUNKED = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"\x00\xff" * 100,
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 70_000,
        CHUNKED + b"nonsense\r\n",
    ],
)
def test_invalid_request_is_answered_without_a_traceback(
    server: uvicorn.Server, request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert answer_to(server, request_).startswith(b"HTTP/1.1 400")
    assert [record for record in caplog.records if record.exc_info] == []


def test_bad_body_after_a_response_logs_no_traceback(
    server: uvicorn.Server, caplog: pytest.LogCaptureFixture
) -> None:
    whole = CHUNKED + b"0\r\n\r\n"
    told = answer_to(server, whole, CHUNKED + b"nonsense\r\n")
    assert told.count(b"HTTP/1.1 200") == 1
    assert [record for record in caplog.records if record.exc_info] == []


def test_bad_body_after_an_early_response_logs_no_traceback(
    server: uvicorn.Server, caplog: pytest.LogCaptureFixture
) -> None:
    early = CHUNKED.replace(b"POST /", b"POST /early")
    told = answer_to(server, early, b"nonsense\r\n")
    assert (told.count(b"HTTP/1.1 200"), told.count(b"HTTP/1.1 400")) == (1, 0)
    assert [record for record in caplog.records if record.exc_info] == []


async def test_lost_connection_cancels_its_timer() -> None:
    protocol, clock, wire = await connected()
    protocol.connection_lost(None)
    clock.rings()
    assert not wire.is_cut_off


def test_refused_handshake_is_not_logged_as_unanswered(
    server: uvicorn.Server, caplog: pytest.LogCaptureFixture
) -> None:
    told = answer_to(server, b"GET /no HTTP/1.1\r\n" + HANDSHAKE + b"\r\n")
    assert told.startswith(b"HTTP/1.1 403")
    wait_until(lambda: not server.server_state.tasks)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def test_closed_websocket_is_freed_without_the_collector(server: uvicorn.Server) -> None:
    gc.disable()
    try:
        with RawClient(f"ws://127.0.0.1:{port_of(server)}/") as client:
            (connection,) = server.server_state.connections
            parser = weakref.ref(cast(WebSocketProtocol, connection).conn)
            del connection
            client.socket.sendall(frame(0x8))
            assert rest_of(client.socket)
        wait_until(lambda: parser() is None)
    finally:
        gc.enable()


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """Return a client frame, masked with zeros."""
    return struct.pack("!BB", (0x80 if fin else 0) | opcode, 0x80 | len(payload)) + bytes(4) + payload


def test_client_with_unread_pongs_is_aborted(server: uvicorn.Server) -> None:
    pings = frame(0x9, b"x" * 125) * 1_000
    unread = []
    with RawClient(f"ws://127.0.0.1:{port_of(server)}/") as client:
        (connection,) = server.server_state.connections

        def look() -> None:
            if not connection.transport.is_closing():
                unread.append(connection.transport.get_write_buffer_size())

        send_until_cut_off(client.socket, pings, look)
    assert 0 < max(unread) < 2 * MAX_UNREAD
    wait_until(lambda: not server.server_state.connections)


def test_message_with_too_many_fragments_is_aborted(server: uvicorn.Server) -> None:
    with RawClient(f"ws://127.0.0.1:{port_of(server)}/") as client:
        client.socket.sendall(frame(0x2, b"x", fin=False))
        with suppress(ConnectionError):
            for _ in range(4 * MAX_FRAGMENTS // 1_000):
                client.socket.sendall(frame(0x0, fin=False) * 1_000)
        wait_until(lambda: not server.server_state.connections)
