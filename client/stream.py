"""Provide a live stream: send audio and commands, and iterate over events."""

import asyncio
import base64
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
from client.packetizer import MAX_PACKET, Format, Packet, Packetizer, SampleFormat
from client.reconnect_policy import ReconnectPolicy, parse_retry_after
from client.send_buffer import SentCommand
from client.subscription import Subscription

MAX_MESSAGE: Final = 16 << 20  # bytes; a final with 120 s of audio in base64 has 5 MiB
WRITE_LIMIT: Final = 1 << 16  # bytes; `send` waits while more wait for the network
DEFAULT_POLICY: Final = ReconnectPolicy()


class Stream:
    """Send audio to a server and iterate over its events; one task may send while another one iterates.

    The stream survives a broken connection: sent audio is kept until the server acknowledges it, and is sent
    again on a new connection. Nothing is lost and no event is repeated. In the meantime audio can be sent
    until the send buffer is full.

    Always read the events: the server closes a stream whose events stay unread (4013). The methods that send
    wait while the network is slow and while the send buffer is full. They raise ConnectionLost once the
    stream is over or given up, and BacklogFull if the buffer stays full for
    `ReconnectPolicy.give_up_seconds`.
    """

    def __init__(self, connection: Connection, subscription: Subscription, encoding: SampleFormat) -> None:
        self._connection = connection
        self._subscription = subscription
        self._packetizer = Packetizer(encoding)
        self._commands = 0

    async def send(self, audio: bytes) -> None:
        """Send any number of bytes of audio in the stream's format, mono or with its channels interleaved.

        A rest of less than a millisecond is held back until more audio comes; commands other than `end` are
        sent before it.
        """
        for start in range(0, len(audio), MAX_PACKET):
            async with self._connection.capacity():
                self._add(self._packetizer.push(audio[start : start + MAX_PACKET]))

    async def commit(self) -> None:
        """End the open utterance now."""
        async with self._connection.capacity():
            self._command("input_audio_buffer.commit")

    async def clear(self) -> None:
        """Drop the open utterance and the audio that is in no utterance yet."""
        async with self._connection.capacity():
            self._connection.replies.expect_clear(self._command("input_audio_buffer.clear"))

    async def update(self, **settings: Any) -> None:
        """Change settings of docs/protocol.md from here on, e.g. language="de", vad={"silence_ms": 500}."""
        if "events" in settings:
            settings["events"] = self._subscription.change(settings["events"])
        async with self._connection.capacity():
            self._add(self._packetizer.change(self._packetizer.encoding.changed(settings)))
            self._command("session.update", session=settings)

    async def mark(self, id: str) -> None:
        """Request a Marker, which comes when everything sent so far has been recognized."""
        async with self._connection.capacity():
            command_id = str(self._commands + 1)  # The number of the message.
            self._connection.replies.expect_marker(self._command("marker", id=command_id), id)

    async def end(self) -> None:
        """End the audio. The last finals follow, then the iteration ends."""
        async with self._connection.capacity():
            self._add(self._packetizer.flush())
            self._command("end_of_stream")

    def _add(self, packets: Sequence[Packet]) -> None:
        for packet in packets:
            self._connection.add(packet)

    def _command(self, type: str, **fields: object) -> SentCommand:
        """Add a message at the current position."""
        self._commands += 1
        id = str(self._commands)
        text = json.dumps({"type": type, "event_id": id, **fields})
        command = SentCommand(type, id, self._packetizer.position, text)
        self._connection.add(command)
        return command

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> Event:
        """Return the next event; stop when the stream has ended in order.

        Raises ConnectionLost and ProtocolError.
        """
        return await self._connection.events.get()


@asynccontextmanager
async def connect(
    url: str,
    *,
    language: str | None = None,
    prompt: str | None = None,
    vad: Mapping[str, float] | None = None,
    words: bool = False,
    include_audio: bool = False,
    diarize: bool = False,
    known_speakers: Mapping[str, bytes] | None = None,
    events: bool | Sequence[str] = True,
    sample_rate: int = 16_000,
    format: Format = "pcm16",
    channels: int | None = None,
    binary: bool = True,
    resume: ReconnectPolicy | None = DEFAULT_POLICY,
    key: str | None = None,
    **options: Any,
) -> AsyncIterator[Stream]:
    """Open a stream; leaving the block closes it. Raises ConnectFailed.

    language, prompt, vad, words, include_audio, diarize, format: settings of docs/protocol.md
    known_speakers: by name, an audio file in which that speaker is heard: finals then name him
    events: True for all, False for finals and errors only, or the requested message types
    sample_rate: sample rate of the audio in Hz, 8000 to 192000
    channels: number of interleaved channels, 1 to 8, each transcribed apart; None for mono audio
    binary: whether audio is sent in binary frames, not as base64 in JSON
    resume: how to reconnect; None for a stream that ends with its connection
    key: API key or token, if the server requires one
    options: passed to websockets.connect, e.g. additional_headers
    """
    session: dict[str, object] = {
        "language": language,
        "prompt": prompt,
        "vad": dict(vad) if vad else None,
        "words": words or None,
        "include_audio": include_audio,
        "diarize": diarize or None,
        "known_speakers": [
            {"name": name, "audio": base64.b64encode(clip).decode()}
            for name, clip in (known_speakers or {}).items()
        ]
        or None,
        "format": format,
        "sample_rate": sample_rate,
        "channels": channels,
    }
    apart = {} if channels is None else {"multichannel": "true", "channels": str(channels)}
    if key is not None:
        bearer = {"Authorization": f"Bearer {key}"}
        options["additional_headers"] = {**bearer, **dict(options.get("additional_headers") or {})}
    subscription = Subscription(events, needs=resume is not None)

    async def dial(query: Mapping[str, str]) -> ClientConnection:
        return await _open(_with_query(url, **(query or subscription.query() | apart)), options)

    socket = await dial({})
    connection = Connection(dial, resume, subscription.wants, binary=binary, channels=channels)
    session = {name: value for name, value in session.items() if value is not None}
    stream = Stream(connection, subscription, SampleFormat().changed(session))
    running = asyncio.create_task(connection.run(socket), name="line")
    try:
        # A server that rejects the stream has closed it already. The iteration yields the reason.
        with suppress(ConnectionLost):
            await stream.update(**session)
        yield stream
    finally:
        running.cancel()
        await asyncio.wait([running])
        if not running.cancelled():
            running.result()  # Raises an error of the task.


async def _open(url: str, options: Mapping[str, Any]) -> ClientConnection:
    arguments: dict[str, Any] = {"max_size": MAX_MESSAGE, "write_limit": WRITE_LIMIT, "compression": None}
    if _is_loopback(url):
        arguments["proxy"] = None  # A proxy from the environment cannot reach ports of this machine.
    try:
        return await websockets.connect(url, **{**arguments, **options})
    except websockets.InvalidStatus as rejected:
        status, headers = rejected.response.status_code, rejected.response.headers
        after = parse_retry_after(headers.get("Retry-After", ""))
        reason = _reason(rejected.response.body) or str(rejected)
        raise ConnectFailed(f"no stream at {url}: {reason}", status, after) from rejected
    except (OSError, websockets.InvalidHandshake, websockets.InvalidURI) as error:
        raise ConnectFailed(f"no stream at {url}: {error}") from error


def _reason(body: bytes | bytearray | None) -> str | None:
    """Return the message in the body of a refusal; None if it has none."""
    try:
        return str(json.loads(body or b"")["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return None


def _with_query(url: str, **parameters: str) -> str:
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, urlencode(parameters))))
    return urlunsplit(parts._replace(query=query))


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
