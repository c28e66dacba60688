"""StandIn: a little server that speaks the protocol, for the client's tests. Loud is speech; what is said
comes from a list."""

import base64
import json
from array import array
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from math import pi, sin
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve

STEP_MS = 20
SILENCE_MS = 300
LOUD = 1000
RATE = 16_000


def tone(ms: int, rate: int = RATE, level: int = 8000) -> bytes:
    """PCM16 that the stand-in takes for speech; level 0 for silence."""
    return array(
        "h", (round(level * sin(2 * pi * 440 * i / rate)) for i in range(rate * ms // 1000))
    ).tobytes()


def silence(ms: int, rate: int = RATE) -> bytes:
    return bytes(rate * ms // 1000 * 2)


class Conversation:
    """One connection: energy for a detector, and `texts` in place of a recognizer."""

    def __init__(self, socket: ServerConnection, texts: Sequence[str], received: list[Any]) -> None:
        query = parse_qs(urlsplit(socket.request.path if socket.request else "").query)
        self._socket = socket
        self._texts = list(texts)
        self._received = received
        self._all = query.get("events") == ["all"]
        self._session: dict[str, Any] = {"sample_rate": RATE, "include_audio": True}
        self._pending = bytearray()
        self._ms = 0
        self._start: int | None = None
        self._last_loud = 0
        self._seq = 0
        self._item = 0
        self._dropped = 0

    async def run(self) -> None:
        await self._event("session.created", session_id="sess_1", session=self._session, limits={})
        async for frame in self._socket:
            if isinstance(frame, bytes):
                self._received.append(frame)
                await self._hear(frame)
            elif not await self._obey(json.loads(frame)):
                return

    async def _obey(self, message: dict[str, Any]) -> bool:
        self._received.append(message)
        match message["type"]:
            case "input_audio_buffer.append":
                self._session["sample_rate"] = message["sample_rate"]
                await self._hear(base64.b64decode(message["audio"]))
            case "input_audio_buffer.commit":
                await self._finish("commit")
            case "input_audio_buffer.clear":
                await self._clear()
            case "session.update":
                self._session |= message["session"]
                await self._send("session.updated", session=self._session)
            case "marker":
                await self._send("marker", id=message["id"])
            case "end_of_stream":
                await self._finish("end_of_stream")
                await self._close()
                return False
            case unknown:
                await self._error("invalid_value", f"There is no type {unknown}.")
        return True

    async def _clear(self) -> None:
        start = self._ms if self._start is None else self._start
        self._start = None
        self._dropped += self._ms - start
        await self._event("input_audio_buffer.cleared", start_ms=start, dropped_ms=self._ms - start)

    async def _close(self) -> None:
        await self._event(
            "session.closed",
            received_ms=self._ms,
            speech_ms=0,
            non_speech_ms=self._ms - self._dropped,
            dropped_ms=self._dropped,
            segments=self._item,
        )
        await self._socket.close(1000)

    async def _hear(self, sound: bytes) -> None:
        self._pending += sound
        size = self._session["sample_rate"] * STEP_MS // 1000 * 2
        while len(self._pending) >= size:
            step = array("h", bytes(self._pending[:size]))
            del self._pending[:size]
            await self._judge(max(map(abs, step)) > LOUD)

    async def _judge(self, loud: bool) -> None:
        self._ms += STEP_MS
        if loud:
            self._last_loud = self._ms
            if self._start is None:
                self._start = self._ms - STEP_MS
                self._item += 1
                await self._event(
                    "input_audio_buffer.speech_started", item_id=self._id, audio_start_ms=self._start
                )
            elif (self._ms - self._start) % 200 == 0:
                await self._show()
        elif self._start is not None and self._ms - self._last_loud >= SILENCE_MS:
            await self._finish("silence")

    @property
    def _id(self) -> str:
        return f"item_{self._item}"

    @property
    def _text(self) -> str:
        return self._texts[(self._item - 1) % len(self._texts)]

    async def _show(self) -> None:
        assert self._start is not None
        words = self._text.split()[: (self._ms - self._start) // 200]
        stable = " ".join(words[:-1])
        await self._event(
            "transcript.partial",
            item_id=self._id,
            text=" ".join(words),
            stable_chars=len(stable),
            start_ms=self._start,
        )

    async def _finish(self, reason: str) -> None:
        if self._start is None:
            return
        start, self._start = self._start, None
        await self._event("input_audio_buffer.speech_stopped", item_id=self._id, audio_end_ms=self._last_loud)
        final = {"transcript": self._text, "item_id": self._id, "start_ms": start, "end_ms": self._last_loud}
        if self._session["include_audio"]:
            final["audio"] = base64.b64encode(b"\x01\x02").decode()
        await self._send("response.audio_transcript.done", reason=reason, confidence=0.5, **final)

    async def _error(self, code: str, message: str) -> None:
        await self._send("error", message=message, error={"code": code, "message": message, "param": None})

    async def _event(self, type: str, **fields: Any) -> None:
        """Sends what only those hear who asked for it."""
        wanted = self._session.get("events", [])
        if self._all or wanted == "all" or type in wanted:
            await self._send(type, **fields)

    async def _send(self, type: str, **fields: Any) -> None:
        self._seq += 1
        await self._socket.send(json.dumps({"type": type, "seq": self._seq, **fields}))


class StandIn:
    """url: where it listens; received: every message that came, frames as bytes, JSON as dicts."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.url = ""
        self.received: list[Any] = []
        self._texts = texts

    async def answer(self, socket: ServerConnection) -> None:
        path = socket.request.path if socket.request else ""
        if path.startswith("/ws/loading"):
            await socket.send(json.dumps({"type": "error", "message": "Server models not initialized."}))
            await socket.close(1013, "server_error.models_not_ready")
        elif path.startswith("/ws/leaving"):
            await socket.close(1000)
        else:
            await Conversation(socket, self._texts, self.received).run()


@asynccontextmanager
async def standin(*texts: str) -> AsyncIterator[StandIn]:
    """A server that hears `texts`, one per utterance, again and again."""
    server = StandIn(texts or ("hello there world",))
    async with serve(server.answer, "127.0.0.1", 0) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        server.url = f"ws://127.0.0.1:{port}/ws/stt"
        yield server
