"""Send frames that were encoded in advance over WebSockets, at little CPU cost per frame.

Use this client for load tests only. Its fixed mask and handshake key defeat their purpose in RFC 6455.
"""

import asyncio
import base64
import hashlib
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Final, cast
from urllib.parse import SplitResult, urlsplit

import numpy as np

MASK: Final = bytes((0x37, 0xFA, 0x21, 0x3D))
HANDSHAKE_KEY: Final = base64.b64encode(bytes(range(16))).decode()
ACCEPT_VALUE: Final = base64.b64encode(
    hashlib.sha1((HANDSHAKE_KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
).decode()
FIN: Final = 0x80
MASKED: Final = 0x80
ABNORMAL_CLOSURE: Final = 1006
HEADERS_END: Final = b"\r\n\r\n"
OPEN_SECONDS: Final = 20.0
MAX_HEADER_BYTES: Final = 1 << 14
MAX_MESSAGE_BYTES: Final = 16 << 20


class Opcode(IntEnum):
    """List the opcodes of RFC 6455, section 5.2."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class HandshakeError(Exception):
    """The server did not accept the WebSocket handshake."""


def encode(opcode: Opcode, payload: bytes) -> bytes:
    """Encode a message as one masked frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", FIN | opcode, MASKED | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", FIN | opcode, MASKED | 126, size)
    else:
        head = struct.pack("!BBQ", FIN | opcode, MASKED | 127, size)
    return head + MASK + mask(payload)


def decode(frame: bytes) -> bytes:
    """Return the payload of a frame that `encode` made."""
    size = frame[1] & ~MASKED
    start = 2 + {126: 2, 127: 8}.get(size, 0) + len(MASK)
    return mask(frame[start:])


def mask(payload: bytes) -> bytes:
    """Apply the fixed mask to a payload."""
    keys = np.resize(np.frombuffer(MASK, np.uint8), len(payload))
    return (np.frombuffer(payload, np.uint8) ^ keys).tobytes()


class FrameReader:
    """Decode the bytes of a server into messages, whatever the boundaries between chunks."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._message = bytearray()
        self._opcode = Opcode.TEXT

    def feed(self, data: bytes) -> list[tuple[Opcode, bytes]]:
        """Add bytes and return the messages that are complete: TEXT, BINARY and control frames.

        Raises ValueError for a masked frame, an unknown opcode and a message of more than MAX_MESSAGE_BYTES.
        """
        self._buffer += data
        messages = []
        while (frame := self._take_frame()) is not None:
            final, opcode, payload = frame
            if opcode >= Opcode.CLOSE:
                messages.append((opcode, payload))
                continue
            if opcode is not Opcode.CONTINUATION:
                self._opcode = opcode
            self._message += payload
            if final:
                messages.append((self._opcode, bytes(self._message)))
                self._message.clear()
        return messages

    def _take_frame(self) -> tuple[bool, Opcode, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1] & 0x7F, 2
        if buffer[1] & MASKED:
            raise ValueError("The server sent a masked frame.")
        if size >= 126:
            width = 2 if size == 126 else 8
            start += width
            size = int.from_bytes(buffer[2:start], "big")
        if size + len(self._message) > MAX_MESSAGE_BYTES:
            raise ValueError(f"The server sent a message of more than {MAX_MESSAGE_BYTES} bytes.")
        if len(buffer) < start + size:
            return None
        head, payload = buffer[0], bytes(buffer[start : start + size])
        del buffer[: start + size]
        return bool(head & FIN), Opcode(head & 0x0F), payload


class LoadSocket(asyncio.Protocol):
    """Run one connection and call `on_text` with each text message and its arrival on the loop's clock.

    `is_writable` is False while the write buffer is full; callers then hold their frames back. `opened` and
    `closed` are futures; `closed` has the close code.
    """

    def __init__(self, url: SplitResult, on_text: Callable[[bytes, float], None]) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[int] = loop.create_future()
        self.is_writable = True
        self._url = url
        self._on_text = on_text
        self._now = loop.time
        self._head = bytearray()
        self._reader = FrameReader()
        self._code = ABNORMAL_CLOSURE

    def write(self, frame: bytes) -> None:
        """Send an encoded frame; do nothing if the connection is closed."""
        if not self._transport.is_closing():
            self._transport.write(frame)

    def abort(self) -> None:
        """Drop the connection without a close frame."""
        self._transport.abort()

    def pause_reading(self) -> None:
        """Stop reading, so that the receive buffers fill."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._transport.resume_reading()

    # The transport calls the methods below.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # the class of uvloop is not a subclass
        self._transport.write(request_for(self._url))

    def data_received(self, data: bytes) -> None:
        if self.opened.done():
            if self.opened.exception() is None:
                self._read(data)
            return
        self._head += data
        end = self._head.find(HEADERS_END)
        if end >= 0:
            self._finish_handshake(bytes(self._head[:end]))
            if self.opened.exception() is None:  # otherwise the rest is the body of the refusal
                self._read(bytes(self._head[end + len(HEADERS_END) :]))
        elif len(self._head) > MAX_HEADER_BYTES:
            self._finish_handshake(bytes(self._head))

    def _finish_handshake(self, head: bytes) -> None:
        status = head.split(b"\r\n", 1)[0].decode(errors="replace")
        if " 101" in status and ACCEPT_VALUE.encode() in head:
            self.opened.set_result(None)
        else:
            self.opened.set_exception(HandshakeError(status))
            self._transport.abort()

    def _read(self, data: bytes) -> None:
        arrival = self._now()
        for opcode, payload in self._reader.feed(data):
            match opcode:
                case Opcode.TEXT:
                    self._on_text(payload, arrival)
                case Opcode.PING:
                    self.write(encode(Opcode.PONG, payload))
                case Opcode.CLOSE:
                    self._code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
                    self.write(encode(Opcode.CLOSE, payload[:2]))
                    self._transport.close()
                case _:
                    pass

    def pause_writing(self) -> None:
        self.is_writable = False

    def resume_writing(self) -> None:
        self.is_writable = True

    def connection_lost(self, error: Exception | None) -> None:
        self.is_writable = False
        if not self.opened.done():
            self.opened.set_exception(HandshakeError(f"connection lost: {error}"))
        if not self.closed.done():
            self.closed.set_result(self._code)


def request_for(url: SplitResult) -> bytes:
    """Return the handshake request of RFC 6455, section 4.1."""
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    lines = (
        f"GET {target} HTTP/1.1",
        f"Host: {url.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {HANDSHAKE_KEY}",
        "Sec-WebSocket-Version: 13",
    )
    return "\r\n".join((*lines, "", "")).encode()


async def open_socket(url: str, on_text: Callable[[bytes, float], None]) -> LoadSocket:
    """Connect to a ws:// URL.

    Raises HandshakeError if the server refuses, OSError (which includes TimeoutError) if it does not answer.
    """
    parts = urlsplit(url)
    if parts.scheme != "ws" or parts.hostname is None:
        raise HandshakeError(f"The URL must begin with ws://, but it is {url}.")
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(OPEN_SECONDS):
        _, socket = await loop.create_connection(
            lambda: LoadSocket(parts, on_text), parts.hostname, parts.port or 80
        )
        await socket.opened
    return socket
