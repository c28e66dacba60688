"""Test the frames of the load client against the websockets library."""

import asyncio
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame
from websockets.frames import Opcode as TheirOpcode
from websockets.protocol import SERVER
from websockets.server import ServerProtocol

from bench.load.fast_ws_client import FrameReader, HandshakeError, Opcode, encode, open_socket, request_for

SIZES = st.one_of(st.integers(0, 300), st.sampled_from([125, 126, 65535, 65536, 100_000]))


@settings(deadline=None)
@given(SIZES, st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.PING]))
def test_a_frame_is_what_a_server_reads(size: int, opcode: Opcode) -> None:
    payload = bytes(i * 7 % 128 for i in range(size if opcode is not Opcode.PING else min(size, 125)))
    server = ServerProtocol()
    server.receive_data(request_for(urlsplit("ws://localhost/ws/stt")))
    server.send_response(server.accept(server.events_received()[0]))  # type: ignore[arg-type]
    server.receive_data(encode(opcode, payload))
    [frame] = server.events_received()
    assert isinstance(frame, Frame)
    assert (frame.opcode, frame.data, frame.fin) == (opcode.value, payload, True)
    assert server.side is SERVER


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.PING]), SIZES), max_size=5),
    st.integers(1, 5000),
)
def test_a_servers_messages_are_read_however_they_arrive(
    messages: list[tuple[Opcode, int]], step: int
) -> None:
    sent = [(opcode, bytes(min(size, 125) if opcode is Opcode.PING else size)) for opcode, size in messages]
    wire = b"".join(Frame(TheirOpcode(opcode), payload).serialize(mask=False) for opcode, payload in sent)
    reader = FrameReader()
    read = [
        message for start in range(0, len(wire), step) for message in reader.feed(wire[start : start + step])
    ]
    assert read == sent


def test_a_message_in_fragments_is_one_message_and_a_ping_may_come_between() -> None:
    fragments = (
        Frame(TheirOpcode.TEXT, b"one ", fin=False),
        Frame(TheirOpcode.PING, b"?"),
        Frame(TheirOpcode.CONT, b"two", fin=True),
    )
    wire = b"".join(frame.serialize(mask=False) for frame in fragments)
    assert FrameReader().feed(wire) == [(Opcode.PING, b"?"), (Opcode.TEXT, b"one two")]


def test_a_message_without_bounds_is_refused() -> None:
    with pytest.raises(ValueError, match="more than"):
        FrameReader().feed(b"\x82\x7f" + (1 << 40).to_bytes(8, "big"))


async def echo(socket: ServerConnection) -> None:
    async for message in socket:
        await socket.send(message)
        if message == "bye":
            await socket.close(4013, "slow_consumer")


async def test_it_talks_to_a_real_server_and_hears_its_close() -> None:
    heard: list[bytes] = []
    async with serve(echo, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        client = await open_socket(f"ws://127.0.0.1:{port}/", lambda text, arrival: heard.append(text))
        for word in (b"hello", b"x" * 70_000, b"bye"):
            client.write(encode(Opcode.TEXT, word))
        assert await client.closed == 4013
    assert heard == [b"hello", b"x" * 70_000, b"bye"]


async def test_a_server_of_something_else_fails_the_handshake() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\n\x81\x02no")  # nearly a frame
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        heard: list[bytes] = []
        with pytest.raises(HandshakeError, match="404"):
            await open_socket(f"ws://127.0.0.1:{port}/", lambda text, arrival: heard.append(text))
        assert heard == []
