"""Visitor: one client that comes to a door, behaves in some manner, and goes."""

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
from bench.load.load_generator import END, settings_frame
from bench.load.message_tape import Tape

CLOSE_SECONDS: Final = 30.0  # for the last finals
SLOW_SECONDS: Final = 2.0  # that a slow one does not read
SILENT_SECONDS: Final = 8.0  # at the most: after 10 s of nothing /v1/listen closes
AWAY_SECONDS: Final = 0.3  # that one who comes back was away
NORMAL: Final = 1000
BYE: Final = encode(Opcode.CLOSE, NORMAL.to_bytes(2, "big"))


class Manner(StrEnum):
    STEADY = "steady"  # talks in real time, to the end
    RETURNS = "returns"  # is cut off, and comes back
    LEAVES = "leaves"  # is gone without a word
    SLOW = "slow"  # does not read for a while
    SILENT = "silent"  # says nothing
    FILE = "file"  # posts one


@dataclass(frozen=True, slots=True)
class Target:
    """query: of the URL; hello: the first frame; binary: sound in binary frames; final: types that are one"""

    name: str
    path: str
    query: str
    hello: bytes | None
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
DOORS: Final = {
    door.name: door
    for door in (
        Target("native", "/ws/stt", _QUERY, settings_frame(_EVENTS, 300), END, False, _FINAL),
        Target("native binary", "/ws/stt", _QUERY, settings_frame(_EVENTS, 300), END, True, _FINAL),
        Target(
            "realtime",
            "/v1/realtime",
            "intent=transcription",
            _text(type="session.update", session={"type": "transcription", "audio": {"input": _INPUT}}),
            _text(type="input_audio_buffer.commit"),
            False,
            "conversation.item.input_audio_transcription.completed",
        ),
        Target(
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
class Visit:
    """What came of it. score: of one who talked to the end at the native door, else None"""

    connects: int = 0
    finals: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    score: Score | None = None


class SimulatedClient:
    """url: of the native door; it says `count` frames of the tape from frame `first` on."""

    def __init__(self, url: str, door: Target, tape: Tape, first: int, count: int, manner: Manner) -> None:
        self.visit = Visit()
        self._server = urlsplit(url)
        self._door = door
        self._tape = tape
        self._first = first
        self._count = count
        self._manner = manner
        self._sent = 0  # frames
        self._seq = 0
        self._token: str | None = None
        self._back = asyncio.Event()  # session.resumed has come
        self._heard: list[ScoredTranscript] = []
        self._began = 0.0

    async def run(self, turn: float) -> Visit:
        """turn: after which share of its time its manner shows. Raises HandshakeError, OSError."""
        self._began = asyncio.get_running_loop().time()
        socket = await self._open(self._door.query)
        if self._door.hello is not None:
            socket.write(self._door.hello)
        if self._manner is Manner.SILENT:
            await asyncio.sleep(turn * SILENT_SECONDS)
            socket.write(BYE)
            await self._closed(socket)
            return self.visit
        await self._talk(socket, round(turn * self._count))
        if self._manner is Manner.LEAVES:
            socket.abort()
            return self.visit
        socket = await self._show_manner(socket)
        await self._talk(socket, self._count)
        await self._end(socket)
        return self.visit

    async def _open(self, query: str) -> LoadSocket:
        self.visit.connects += 1
        url = urlunsplit(self._server._replace(path=self._door.path, query=query))
        return await open_socket(url, self._on_text)

    async def _show_manner(self, socket: LoadSocket) -> LoadSocket:
        if self._manner is Manner.SLOW:
            socket.pause_reading()
            await asyncio.sleep(SLOW_SECONDS)
            socket.resume_reading()
        elif self._manner is Manner.RETURNS and self._token is not None:
            socket.abort()
            await socket.closed
            await asyncio.sleep(AWAY_SECONDS)
            socket = await self._open(f"resume={self._token}&ack={self._seq}")
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._back.wait()
        return socket

    async def _talk(self, socket: LoadSocket, until: int) -> None:
        """Each frame when its last sample has been recorded; who is behind says all that is due at once."""
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
            socket.write(self._door.end)
            if self._door.name == "realtime":  # which no client message ends
                await asyncio.sleep(1.0)
                socket.write(BYE)
        await self._closed(socket)
        if self._door.path == "/ws/stt":
            said = self._tape.heard(self._first, self._count)
            self.visit.score = score(said, self._heard, {})
        elif not self.visit.finals:
            self.visit.errors[f"{self._door.name}: no final"] += 1

    async def _closed(self, socket: LoadSocket) -> None:
        try:
            code = await asyncio.wait_for(asyncio.shield(socket.closed), CLOSE_SECONDS)
        except TimeoutError:
            self.visit.errors[f"{self._door.name} {self._manner}: no close"] += 1
            socket.abort()
            return
        if code != NORMAL:
            self.visit.errors[f"{self._door.name} {self._manner}: closed {code}"] += 1

    def _on_text(self, text: bytes, arrival: float) -> None:
        message = orjson.loads(text)
        self._seq = message.get("seq", 0)
        match message.get("type"):
            case "session.created":
                self._token = message.get("resume_token")
            case "session.resumed":
                self._sent = message["received_ms"] // self._tape.chunk_ms
                self._back.set()
            case "error" | "Error":
                code = (message.get("error") or {}).get("code") or message.get("variant")
                self.visit.errors[f"{self._door.name} {self._manner}: {code}"] += 1
            case kind if kind == self._door.final:
                self.visit.finals += 1
                if kind == _FINAL:
                    self._hear(message, arrival)
            case _:
                pass

    def _hear(self, message: dict[str, Any], arrival: float) -> None:
        times = message["start_ms"], message["end_ms"], arrival - self._began
        self._heard.append(ScoredTranscript(message["item_id"], *times, message["reason"]))
