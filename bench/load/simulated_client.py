"""Simulate one client of one protocol that behaves well or badly."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import orjson

from bench.accuracy.scoring import Score, ScoredTranscript, score
from bench.load.fast_ws_client import LoadSocket, Opcode, encode, open_socket
from bench.load.load_generator import END_OF_STREAM, settings_frame
from bench.load.message_tape import Tape

CLOSE_SECONDS: Final = 30.0  # longest wait for the last finals
NOT_READING_SECONDS: Final = 2.0  # of a slow client
MAX_SILENT_SECONDS: Final = 8.0  # /v1/listen closes after 10 s without a message
DISCONNECTED_SECONDS: Final = 0.3  # before a client resumes
NORMAL_CLOSURE: Final = 1000
CLOSE_FRAME: Final = encode(Opcode.CLOSE, NORMAL_CLOSURE.to_bytes(2, "big"))


class Behaviour(StrEnum):
    """List what a simulated client does."""

    STEADY = "steady"  # sends in real time until the end
    RESUMES = "resumes"  # loses its connection and resumes
    DISCONNECTS = "disconnects"  # drops the connection without a close frame
    SLOW = "slow"  # does not read for a while
    SILENT = "silent"  # sends no audio
    FILE = "file"  # posts a file


@dataclass(frozen=True, slots=True)
class ClientProtocol:
    """Describe how a client of one protocol connects, ends and recognizes finals.

    query: of the URL; first_frame: sent after the handshake; end: the frame that ends the audio
    binary: whether audio is sent in binary frames; final: the type of a message with a final
    """

    name: str
    path: str
    query: str
    first_frame: bytes | None
    end: bytes
    binary: bool
    final: str


def _text(**message: Any) -> bytes:
    return encode(Opcode.TEXT, json.dumps(message).encode())


_FINAL: Final = "response.audio_transcript.done"
_EVENTS: Final = ("session.created", "session.closed", "transcript.partial")
_QUERY: Final = f"events={','.join(_EVENTS)}"
_INPUT: Final = {
    "format": {"type": "audio/pcm", "rate": 16_000},
    "transcription": {"model": "whisper-1"},
    "turn_detection": {"type": "server_vad", "silence_duration_ms": 300},
}
PROTOCOLS: Final = {
    protocol.name: protocol
    for protocol in (
        ClientProtocol(
            "native", "/ws/stt", _QUERY, settings_frame(_EVENTS, 300), END_OF_STREAM, False, _FINAL
        ),
        ClientProtocol(
            "native binary", "/ws/stt", _QUERY, settings_frame(_EVENTS, 300), END_OF_STREAM, True, _FINAL
        ),
        ClientProtocol(
            "realtime",
            "/v1/realtime",
            "intent=transcription",
            _text(type="session.update", session={"type": "transcription", "audio": {"input": _INPUT}}),
            _text(type="input_audio_buffer.commit"),
            False,
            "conversation.item.input_audio_transcription.completed",
        ),
        ClientProtocol(
            "listen",
            "/v1/listen",
            "encoding=linear16&sample_rate=16000",
            None,
            _text(type="CloseStream"),
            True,
            "Results",
        ),
    )
}


@dataclass(slots=True)
class ClientResult:
    """Sum up one client.

    score: of a client of the native protocol that sent until the end, else None
    """

    connects: int = 0
    finals: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    score: Score | None = None


class SimulatedClient:
    """Send `count` frames of a tape from frame `first` on, and show one behaviour.

    url: of the native WebSocket endpoint
    """

    def __init__(
        self, url: str, protocol: ClientProtocol, tape: Tape, first: int, count: int, behaviour: Behaviour
    ) -> None:
        self.result = ClientResult()
        self._server = urlsplit(url)
        self._protocol = protocol
        self._tape = tape
        self._first = first
        self._count = count
        self._behaviour = behaviour
        self._sent = 0  # frames
        self._seq = 0
        self._token: str | None = None
        self._resumed = asyncio.Event()
        self._finals: list[ScoredTranscript] = []
        self._began = 0.0

    async def run(self, turn: float) -> ClientResult:
        """Run the client from its handshake to its close.

        turn: the share of the audio after which the special behaviour happens
        Raises HandshakeError and OSError.
        """
        self._began = asyncio.get_running_loop().time()
        socket = await self._open(self._protocol.query)
        if self._protocol.first_frame is not None:
            socket.write(self._protocol.first_frame)
        if self._behaviour is Behaviour.SILENT:
            await asyncio.sleep(turn * MAX_SILENT_SECONDS)
            socket.write(CLOSE_FRAME)
            await self._wait_for_close(socket)
            return self.result
        await self._send_until(socket, round(turn * self._count))
        if self._behaviour is Behaviour.DISCONNECTS:
            socket.abort()
            return self.result
        socket = await self._misbehave(socket)
        await self._send_until(socket, self._count)
        await self._end(socket)
        return self.result

    async def _open(self, query: str) -> LoadSocket:
        self.result.connects += 1
        url = urlunsplit(self._server._replace(path=self._protocol.path, query=query))
        return await open_socket(url, self._on_text)

    async def _misbehave(self, socket: LoadSocket) -> LoadSocket:
        if self._behaviour is Behaviour.SLOW:
            socket.pause_reading()
            await asyncio.sleep(NOT_READING_SECONDS)
            socket.resume_reading()
        elif self._behaviour is Behaviour.RESUMES and self._token is not None:
            socket.abort()
            await socket.closed
            await asyncio.sleep(DISCONNECTED_SECONDS)
            socket = await self._open(f"resume={self._token}&ack={self._seq}")
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._resumed.wait()
        return socket

    async def _send_until(self, socket: LoadSocket, until: int) -> None:
        """Send each frame when its last sample would have been recorded, and overdue frames at once."""
        loop = asyncio.get_running_loop()
        while self._sent < until and not socket.closed.done():
            due = self._began + (self._sent + 1) * self._tape.chunk_ms / 1000
            await asyncio.sleep(max(0.0, due - loop.time()))
            if socket.is_writable:
                frames = self._tape.frames
                socket.write(frames[(self._first + self._sent) % len(frames)])
                self._sent += 1
            else:
                await asyncio.sleep(self._tape.chunk_ms / 1000)

    async def _end(self, socket: LoadSocket) -> None:
        if not socket.closed.done():
            socket.write(self._protocol.end)
            if self._protocol.name == "realtime":  # this protocol has no message that ends a session
                await asyncio.sleep(1.0)
                socket.write(CLOSE_FRAME)
        await self._wait_for_close(socket)
        if self._protocol.path == "/ws/stt":
            spoken = self._tape.utterances(self._first, self._count)
            self.result.score = score(spoken, self._finals, {})
        elif not self.result.finals:
            self.result.errors[f"{self._protocol.name}: no final"] += 1

    async def _wait_for_close(self, socket: LoadSocket) -> None:
        try:
            code = await asyncio.wait_for(asyncio.shield(socket.closed), CLOSE_SECONDS)
        except TimeoutError:
            self.result.errors[f"{self._protocol.name} {self._behaviour}: no close"] += 1
            socket.abort()
            return
        if code != NORMAL_CLOSURE:
            self.result.errors[f"{self._protocol.name} {self._behaviour}: closed {code}"] += 1

    def _on_text(self, text: bytes, arrival: float) -> None:
        message = orjson.loads(text)
        self._seq = message.get("seq", 0)
        match message.get("type"):
            case "session.created":
                self._token = message.get("resume_token")
            case "session.resumed":
                self._sent = message["received_ms"] // self._tape.chunk_ms
                self._resumed.set()
            case "error" | "Error":
                code = (message.get("error") or {}).get("code") or message.get("variant")
                self.result.errors[f"{self._protocol.name} {self._behaviour}: {code}"] += 1
            case kind if kind == self._protocol.final:
                self.result.finals += 1
                if kind == _FINAL:
                    self._add_final(message, arrival)
            case _:
                pass

    def _add_final(self, message: dict[str, Any], arrival: float) -> None:
        times = message["start_ms"], message["end_ms"], arrival - self._began
        self._finals.append(ScoredTranscript(message["item_id"], *times, message["reason"]))
