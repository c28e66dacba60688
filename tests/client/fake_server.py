"""Provide a small server with the native protocol for the client's tests.

Loud audio counts as speech, and the texts come from a list.
"""

import asyncio
import base64
import json
from array import array
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from math import pi, sin
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

STEP_MS = 20
SILENCE_MS = 300
ACKNOWLEDGE_MS = 500
LOUD = 1000
RATE = 16_000


def tone(ms: int, rate: int = RATE, level: int = 8000) -> bytes:
    """Return PCM16 that counts as speech, or silence for level 0."""
    return array(
        "h", (round(level * sin(2 * pi * 440 * i / rate)) for i in range(rate * ms // 1000))
    ).tobytes()


def silence(ms: int, rate: int = RATE) -> bytes:
    return bytes(rate * ms // 1000 * 2)


class Session:
    """Energy for a detector, and `texts` in place of a recognizer. It outlives its connections.

    received: every message that came, frames as bytes, JSON as dicts
    """

    def __init__(self, name: str, wanted: str, texts: Sequence[str], heard: list[Any]) -> None:
        self.token = f"token_{name}"
        self.received: list[Any] = []
        self.repeats = False  # it replays all that it has told, whatever was seen
        self.goodbye: int | None = None  # the code with which its client closed
        self._heard = heard  # by the whole server
        self._name = name
        self._socket: ServerConnection | None = None
        self._told: list[str] = []
        self._telling = asyncio.Lock()
        self._taking = asyncio.Lock()
        self._texts = list(texts)
        self._session: dict[str, Any] = {"sample_rate": RATE, "include_audio": True}
        self._wanted: str | list[str] = wanted if wanted == "all" else wanted.split(",")
        self._pending = bytearray()
        self._received_ms = 0.0
        self._acknowledged_ms = 0.0
        self._ms = 0  # judged
        self._start: int | None = None
        self._last_loud = 0
        self._item = 0
        self._dropped = 0
        self._markers: list[str] = []
        self._ended = False

    async def begin(self, socket: ServerConnection) -> None:
        self._socket = socket
        created = {"session_id": self._name, "resume_token": self.token, "limits": {}}
        await self._event("session.created", session=self._session, **created)
        await self._listen(socket)

    async def resume(self, socket: ServerConnection, seen: int) -> None:
        async with self._telling:
            before, self._socket = self._socket, socket
            missed = self._told[0 if self.repeats else seen :]
            resumed = {"session_id": self._name, "received_ms": round(self._received_ms)}
            resumed |= {"type": "session.resumed", "replayed": len(missed), "seq": seen}
            with suppress(ConnectionClosed):
                for text in (json.dumps(resumed), *missed):
                    await socket.send(text)
        if before is not None:
            await before.close(4009, "resumed")
        if self._ended:
            await socket.close(1000)
        else:
            await self._listen(socket)

    async def _listen(self, socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for frame in socket:
                async with self._taking:
                    if self._socket is not socket or not await self._take(frame):
                        return
        self.goodbye = socket.close_code

    async def _take(self, frame: str | bytes) -> bool:
        message = frame if isinstance(frame, bytes) else json.loads(frame)
        self.received.append(message)
        self._heard.append(message)
        if isinstance(message, bytes):
            await self._hear(message)
            return True
        return await self._obey(message)

    async def _obey(self, message: dict[str, Any]) -> bool:
        match message["type"]:
            case "input_audio_buffer.append":
                self._session["sample_rate"] = message["sample_rate"]
                await self._hear(base64.b64decode(message["audio"]))
            case "input_audio_buffer.commit":
                await self._finish("commit")
            case "input_audio_buffer.clear":
                await self._clear()
            case "session.update":
                if message["session"].get("vad") == "bad":
                    await self._error("`vad` must be an object.", message["event_id"])
                    return True
                self._session |= message["session"]
                self._wanted = self._session.get("events", self._wanted)
                await self._send("session.updated", session=self._session)
            case "marker":
                self._markers.append(message["id"])
                if self._start is None:
                    await self._release_markers()
            case "end_of_stream":
                await self._finish("end_of_stream")
                await self._close()
                return False
        return True

    async def _clear(self) -> None:
        at = round(self._received_ms)
        start = at if self._start is None else self._start
        self._start = None
        self._dropped += at - start
        await self._event("input_audio_buffer.cleared", start_ms=start, dropped_ms=at - start)
        await self._release_markers()

    async def _release_markers(self) -> None:
        for marker in self._markers:
            await self._send("marker", id=marker)
        self._markers.clear()

    async def _close(self) -> None:
        await self._event(
            "session.closed",
            received_ms=round(self._received_ms),
            speech_ms=0,
            non_speech_ms=round(self._received_ms) - self._dropped,
            dropped_ms=self._dropped,
            segments=self._item,
        )
        self._ended = True
        if self._socket is not None:
            await self._socket.close(1000)

    async def _hear(self, sound: bytes) -> None:
        rate = self._session["sample_rate"]
        self._pending += sound
        self._received_ms += len(sound) / 2 * 1000 / rate
        size = rate * STEP_MS // 1000 * 2
        while len(self._pending) >= size:
            step = array("h", bytes(self._pending[:size]))
            del self._pending[:size]
            await self._judge(max(map(abs, step)) > LOUD)
        if self._received_ms - self._acknowledged_ms >= ACKNOWLEDGE_MS:
            self._acknowledged_ms = self._received_ms
            await self._event("input_audio_buffer.acknowledged", received_ms=round(self._received_ms))

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
        await self._release_markers()

    async def _error(self, message: str, event_id: str | None) -> None:
        error = {"code": "invalid_value", "message": message, "param": None, "event_id": event_id}
        await self._send("error", message=message, error=error)

    async def _event(self, type: str, **fields: Any) -> None:
        """Send an event that needs a subscription."""
        if self._wanted == "all" or type in self._wanted:
            await self._send(type, **fields)

    async def _send(self, type: str, **fields: Any) -> None:
        async with self._telling:
            self._told.append(json.dumps({"type": type, "seq": len(self._told) + 1, **fields}))
            if self._socket is not None:
                with suppress(ConnectionClosed):
                    await self._socket.send(self._told[-1])


class StandIn:
    """url: where it listens; received: what all its sessions were sent, in the order in which it came.

    refusals: HTTP status and Retry-After for the next handshakes; when: the loop's times of those refused
    authorizations: the headers of that name, of all handshakes that were taken
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.url = ""
        self.stumbled = False
        self.received: list[Any] = []
        self.sessions: list[Session] = []
        self.refusals: list[tuple[int, str]] = []
        self.when: list[float] = []
        self.authorizations: list[str | None] = []
        self._texts = texts

    def forget(self) -> None:
        """Forget all sessions, like a restarted server."""
        self.sessions.clear()

    def refuse(self, socket: ServerConnection, request: Request) -> Response | None:
        if not self.refusals:
            return None
        self.when.append(asyncio.get_running_loop().time())
        status, retry_after = self.refusals.pop(0)
        response = socket.respond(status, "not now")
        response.headers["Retry-After"] = retry_after
        return response

    async def answer(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.authorizations.append(socket.request.headers.get("Authorization"))
        address = urlsplit(socket.request.path)
        query = dict(parse_qsl(address.query))
        if address.path.startswith("/ws/loading"):
            await socket.send(json.dumps({"type": "error", "message": "Server models not initialized."}))
            await socket.close(1013, "server_error.models_not_ready")
        elif address.path.startswith("/ws/leaving"):
            await socket.close(1000)
        elif address.path.startswith("/ws/stumbling") and not self.stumbled:
            self.stumbled = True
            socket.transport.abort()
        elif "resume" in query:
            await self._resume(socket, query["resume"], int(query["ack"]))
        else:
            name = f"sess_{len(self.sessions) + 1}"
            session = Session(name, query.get("events", ""), self._texts, self.received)
            self.sessions.append(session)
            await session.begin(socket)

    async def _resume(self, socket: ServerConnection, token: str, seen: int) -> None:
        for session in self.sessions:
            if session.token == token:
                await session.resume(socket, seen)
                return
        error = {"code": "resume_unknown", "message": "There is no such session."}
        await socket.send(json.dumps({"type": "error", "seq": 0, "message": "Unknown.", "error": error}))
        await socket.close(4000, "resume_unknown")


@asynccontextmanager
async def standin(*texts: str) -> AsyncIterator[StandIn]:
    """Run a server that recognizes `texts`, one per utterance, repeatedly."""
    server = StandIn(texts or ("hello there world",))
    async with serve(server.answer, "127.0.0.1", 0, process_request=server.refuse) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        server.url = f"ws://127.0.0.1:{port}/ws/stt"
        yield server
