"""Stream: one connection to the server, sound going in and events coming out."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

import websockets
from websockets.asyncio.client import ClientConnection

from client.connection import Connection
from client.errors import ConnectFailed, ConnectionLost
from client.events import Event
from client.packetizer import MAX_PACKET, Encoding, Format, Packet, Packetizer
from client.reconnect_policy import ReconnectPolicy, seconds_of
from client.send_buffer import SentCommand
from client.subscription import Subscription

MAX_MESSAGE: Final = 16 << 20  # bytes; a final with 120 s of sound in base64 has 5 MiB
WRITE_LIMIT: Final = 1 << 16  # bytes waiting for the network, above which `send` waits
RESUME: Final = ReconnectPolicy()


class Stream:
    """One live stream of speech. One task may send while another iterates over the events.

    It outlives its connection: what was sent is kept until the server acknowledges it, and sent again after a
    cut. Nothing is lost or told twice; meanwhile sending goes on into what is kept.

    Read the events all the time: a server closes a stream whose events stay unread (4013).
    The methods that send wait while the network is slow, and while no more can be kept. They raise
    ConnectionLost once the stream is over or given up, and BacklogFull after waiting as long as that takes.
    """

    def __init__(self, line: Connection, subscription: Subscription, encoding: Encoding) -> None:
        self._line = line
        self._subscription = subscription
        self._packetizer = Packetizer(encoding)
        self._commands = 0

    async def send(self, sound: bytes) -> None:
        """Sends mono sound in the stream's format, any number of bytes.

        Less than a millisecond waits for the rest of it; commands overtake it, but for `end`.
        """
        for start in range(0, len(sound), MAX_PACKET):
            async with self._line.room():
                self._add(self._packetizer.push(sound[start : start + MAX_PACKET]))

    async def commit(self) -> None:
        """Ends the open utterance now."""
        async with self._line.room():
            self._command("input_audio_buffer.commit")

    async def clear(self) -> None:
        """Drops the open utterance, and the sound that is in no utterance yet."""
        async with self._line.room():
            self._line.replies.expect_clear(self._command("input_audio_buffer.clear"))

    async def update(self, **settings: Any) -> None:
        """Changes settings of docs/protocol.md from here on, e.g. language="de", vad={"silence_ms": 500}."""
        if "events" in settings:
            settings["events"] = self._subscription.change(settings["events"])
        async with self._line.room():
            self._add(self._packetizer.change(self._packetizer.encoding.changed(settings)))
            self._command("session.update", session=settings)

    async def mark(self, id: str) -> None:
        """Asks for a Marker once everything sent so far has been recognised."""
        async with self._line.room():
            own = str(self._commands + 1)  # that of the message
            self._line.replies.expect_marker(self._command("marker", id=own), id)

    async def end(self) -> None:
        """No more sound will come. The last finals follow, then the iteration ends."""
        async with self._line.room():
            self._add(self._packetizer.flush())
            self._command("end_of_stream")

    def _add(self, packets: Sequence[Packet]) -> None:
        for packet in packets:
            self._line.add(packet)

    def _command(self, type: str, **fields: object) -> SentCommand:
        """Adds a message at its place."""
        self._commands += 1
        id = str(self._commands)
        text = json.dumps({"type": type, "event_id": id, **fields})
        command = SentCommand(type, id, self._packetizer.position, text)
        self._line.add(command)
        return command

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> Event:
        """The next event; stops when the stream has ended in order. Raises ConnectionLost, ProtocolError."""
        return await self._line.inbox.get()


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
    resume: ReconnectPolicy | None = RESUME,
    key: str | None = None,
    **options: Any,
) -> AsyncIterator[Stream]:
    """Opens a stream; leaving the block closes it. Raises ConnectFailed.

    events: True for all, False for finals and errors only, or the message types wanted
    sample_rate: Hz of the mono sound that is sent, 8000 to 192000
    binary: raw frames rather than base64 in JSON
    resume: how it comes back after a cut; None for a stream that ends with its connection
    key: of a server that asks for one, or a token made with it
    options: go to websockets.connect, e.g. additional_headers
    """
    session: dict[str, object] = {
        "language": language,
        "prompt": prompt,
        "vad": dict(vad) if vad else None,
        "words": words or None,
        "include_audio": include_audio,
        "format": format,
        "sample_rate": sample_rate,
    }
    if key is not None:
        bearer = {"Authorization": f"Bearer {key}"}
        options["additional_headers"] = {**bearer, **dict(options.get("additional_headers") or {})}
    subscription = Subscription(events, needs=resume is not None)

    async def dial(query: Mapping[str, str]) -> ClientConnection:
        return await _open(_with_query(url, **(query or subscription.query())), options)

    socket = await dial({})
    line = Connection(dial, resume, subscription.wants, binary=binary)
    stream = Stream(line, subscription, Encoding().changed(session))
    running = asyncio.create_task(line.run(socket), name="line")
    try:
        # A server that refuses has closed already. The next call says so, and an iteration hears why first.
        with suppress(ConnectionLost):
            await stream.update(**{name: value for name, value in session.items() if value is not None})
        yield stream
    finally:
        running.cancel()
        await asyncio.wait([running])
        if not running.cancelled():
            running.result()  # a fault of the library is not to be hidden


async def _open(url: str, options: Mapping[str, Any]) -> ClientConnection:
    own: dict[str, Any] = {"max_size": MAX_MESSAGE, "write_limit": WRITE_LIMIT, "compression": None}
    if _is_here(url):
        own["proxy"] = None  # a proxy from the environment does not know this machine's ports
    try:
        return await websockets.connect(url, **{**own, **options})
    except websockets.InvalidStatus as refused:
        status, headers = refused.response.status_code, refused.response.headers
        after = seconds_of(headers.get("Retry-After", ""))
        raise ConnectFailed(f"no stream at {url}: {refused}", status, after) from refused
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
