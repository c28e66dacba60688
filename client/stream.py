"""Stream: one connection to the server, sound going in and events coming out."""

import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from typing import Any, Final, Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

import websockets
from websockets.asyncio.client import ClientConnection

from client.errors import ConnectFailed, ConnectionLost
from client.events import Event, parse

Format = Literal["pcm16", "pcmu", "pcma", "float32"]

PIECE: Final = 1 << 16  # bytes of sound per message; whole samples in every format
MAX_MESSAGE: Final = 16 << 20  # bytes; a final with 120 s of sound in base64 has 5 MiB
WRITE_LIMIT: Final = 1 << 16  # bytes waiting for the network, above which `send` waits
NORMAL: Final = 1000
ABNORMAL: Final = 1006


class Stream:
    """One live stream of speech. One task may send while another iterates over the events.

    Read the events all the time: a server closes a stream whose events stay unread (4013).
    The methods that send wait while the network is slow, and raise ConnectionLost.
    """

    def __init__(self, socket: ClientConnection, format: Format, sample_rate: int, binary: bool) -> None:
        self._socket = socket
        self._sound: dict[str, object] = {"format": format, "sample_rate": sample_rate}
        self._binary = binary
        self._ending = False

    async def send(self, sound: bytes) -> None:
        """Sends mono sound in the stream's format, any number of bytes."""
        for start in range(0, len(sound), PIECE):
            await self._send_piece(sound[start : start + PIECE])

    async def _send_piece(self, piece: bytes) -> None:
        if self._binary:
            await self._write(piece)
        else:
            audio = base64.b64encode(piece).decode()
            await self._tell("input_audio_buffer.append", audio=audio, **self._sound)

    async def commit(self) -> None:
        """Ends the open utterance now."""
        await self._tell("input_audio_buffer.commit")

    async def clear(self) -> None:
        """Drops the open utterance, and the sound that is in no utterance yet."""
        await self._tell("input_audio_buffer.clear")

    async def update(self, **settings: object) -> None:
        """Changes settings of docs/protocol.md from here on, e.g. language="de", vad={"silence_ms": 500}."""
        await self._tell("session.update", session=settings)
        self._sound.update({name: settings[name] for name in self._sound if name in settings})

    async def mark(self, id: str) -> None:
        """Asks for a Marker once everything sent so far has been recognised."""
        await self._tell("marker", id=id)

    async def end(self) -> None:
        """No more sound will come. The last finals follow, then the iteration ends."""
        self._ending = True
        await self._tell("end_of_stream")

    async def _tell(self, type: str, **fields: object) -> None:
        await self._write(json.dumps({"type": type, **fields}))

    async def _write(self, message: str | bytes) -> None:
        try:
            await self._socket.send(message)
        except websockets.ConnectionClosed as closed:
            raise _lost(closed) from closed

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> Event:
        """The next event; stops when the stream has ended in order. Raises ConnectionLost, ProtocolError."""
        try:
            return parse(await self._socket.recv())
        except websockets.ConnectionClosed as closed:
            lost = _lost(closed)
            if lost.code == NORMAL and self._ending:
                raise StopAsyncIteration from None
            raise lost from closed


@asynccontextmanager
async def connect(
    url: str,
    *,
    language: str | None = None,
    prompt: str | None = None,
    vad: Mapping[str, float] | None = None,
    words: bool = False,
    include_audio: bool = False,
    events: bool | Sequence[str] = True,
    sample_rate: int = 16_000,
    format: Format = "pcm16",
    binary: bool = True,
    **options: Any,
) -> AsyncIterator[Stream]:
    """Opens a stream; leaving the block closes it. Raises ConnectFailed.

    events: True for all, False for finals and errors only, or the message types wanted
    sample_rate: Hz of the mono sound that is sent, 8000 to 192000
    binary: raw frames rather than base64 in JSON
    options: go to websockets.connect, e.g. additional_headers
    """
    session: dict[str, object] = {
        "language": language,
        "prompt": prompt,
        "vad": dict(vad) if vad else None,
        "words": words or None,
        "include_audio": include_audio,
        "events": list(events) if not isinstance(events, bool) else None,
        "format": format,
        "sample_rate": sample_rate,
    }
    address = _with_query(url, events="all") if events is True else url
    socket = await _open(address, options)
    async with socket:
        stream = Stream(socket, format, sample_rate, binary)
        # A server that refuses has closed already. The next call says so, and an iteration hears why first.
        with suppress(ConnectionLost):
            await stream.update(**{name: value for name, value in session.items() if value is not None})
        yield stream


async def _open(url: str, options: Mapping[str, Any]) -> ClientConnection:
    own: dict[str, Any] = {"max_size": MAX_MESSAGE, "write_limit": WRITE_LIMIT, "compression": None}
    if _is_here(url):
        own["proxy"] = None  # a proxy from the environment does not know this machine's ports
    try:
        return await websockets.connect(url, **{**own, **options})
    except (OSError, websockets.InvalidHandshake, websockets.InvalidURI) as error:
        raise ConnectFailed(f"no stream at {url}: {error}") from error


def _with_query(url: str, **parameters: str) -> str:
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, urlencode(parameters))))
    return urlunsplit(parts._replace(query=query))


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _lost(closed: websockets.ConnectionClosed) -> ConnectionLost:
    if closed.rcvd is None:
        return ConnectionLost(ABNORMAL, "")
    return ConnectionLost(closed.rcvd.code, closed.rcvd.reason)
