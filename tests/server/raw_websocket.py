"""A WebSocket client that reads only on request, with a small receive buffer."""

import json
import socket
import struct
from types import TracebackType
from typing import Final, Self

import pybase64
from websockets.client import ClientProtocol
from websockets.protocol import CONNECTING
from websockets.uri import parse_uri

RECEIVE_BUFFER_BYTES: Final = 4096


class RawClient:
    """Hold one connection, without a background task, inside a with block."""

    def __init__(self, url: str) -> None:
        uri = parse_uri(url)
        self._protocol = ClientProtocol(uri, max_size=None)
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self.socket.settimeout(20)
        self.socket.connect((uri.host, uri.port))
        self._protocol.send_request(self._protocol.connect())
        self._flush()
        while self._protocol.state is CONNECTING:
            self._protocol.receive_data(self.socket.recv(1))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def say(self, type_: str, **fields: object) -> None:
        """Send a message.

        Raises TimeoutError if the server does not read it, ConnectionError if the server has disconnected.
        """
        self._protocol.send_text(json.dumps({"type": type_, **fields}).encode())
        self._flush()

    def hang_up(self) -> None:
        """Reset the connection without a close frame."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def append(self, pcm: bytes) -> None:
        self.say("input_audio_buffer.append", audio=pybase64.b64encode(pcm).decode())

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            self.socket.sendall(data)
