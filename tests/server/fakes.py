"""Fakes for tests of the server: a WebSocket in memory, and models that answer at once or never."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.websockets import WebSocket

from asr.recognizer import Hypothesis, RecognitionRequest
from batching.batcher import Batcher
from batching.threads import ThreadWorker
from server.connection.websocket import TRANSPORT
from streaming.model_clients import ModelClients, Probabilities
from tests.server.live_server import Message
from tests.streaming.fakes import detect, transcribe
from vad.detector_input import DetectorInput

Detect = Callable[[object, list[DetectorInput]], list[Probabilities]]
Transcribe = Callable[[object, Sequence[RecognitionRequest]], list[Hypothesis]]


class Transport:
    """Record whether the connection was aborted."""

    def __init__(self) -> None:
        self.aborted = asyncio.Event()

    def abort(self) -> None:
        self.aborted.set()


class Line:
    """Connect a client and the server's WebSocket in memory.

    says: sends a message to the server; heard: messages from the server; reads: while cleared, sends to the
    client wait
    """

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.close: tuple[int, str] | None = None
        self.reads = asyncio.Event()
        self.reads.set()
        self.waiting = 0  # sends that wait for the client to read
        self.news = asyncio.Event()
        self.transport = Transport()
        self._says: asyncio.Queue[Message] = asyncio.Queue()
        self._says.put_nowait({"type": "websocket.connect"})

    def asking(self, query: str = "") -> WebSocket:
        """Return the server's WebSocket before it is accepted."""
        scope = {"type": "websocket", "path": "/", "headers": [], "query_string": query.encode()}
        return WebSocket(scope | {TRANSPORT: self.transport}, self._says.get, self._send)

    async def accepted(self) -> WebSocket:
        """Return the server's WebSocket after it was accepted."""
        websocket = self.asking()
        await websocket.accept()
        return websocket

    def says(self, message: str | bytes) -> None:
        kind = "text" if isinstance(message, str) else "bytes"
        self._says.put_nowait({"type": "websocket.receive", kind: message})

    def is_read(self) -> bool:
        """Return whether the server has taken every message."""
        return not self.unread

    @property
    def unread(self) -> int:
        """Return the number of messages that the server has not taken."""
        return self._says.qsize()

    def leaves(self, code: int = 1006) -> None:
        self._says.put_nowait({"type": "websocket.disconnect", "code": code})

    async def hears(self, type_: str) -> Message:
        """Wait for a message of this type."""
        while True:
            for message in self.heard:
                if message["type"] == type_:
                    return message
            self.news.clear()
            await self.news.wait()

    async def _send(self, event: Any) -> None:
        if not self.reads.is_set():
            await self._reads_or_is_cut_off()
        if self.transport.aborted.is_set():
            raise OSError("the connection is gone")
        if event["type"] == "websocket.send":
            self.heard.append(json.loads(event["text"]))
        elif event["type"] == "websocket.close":
            self.close = event["code"], event["reason"]
        self.news.set()

    async def _reads_or_is_cut_off(self) -> None:
        either = [asyncio.ensure_future(event.wait()) for event in (self.reads, self.transport.aborted)]
        self.waiting += 1
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.waiting -= 1
            for waiter in either:
                waiter.cancel()


class Slots:
    """Lend any number of slots."""

    def __init__(self) -> None:
        self.lent: set[int] = set()
        self._next = 0

    def open(self) -> int:
        self._next += 1
        self.lent.add(self._next)
        return self._next

    def close(self, slot: int, /) -> None:
        self.lent.remove(slot)


def silent_models() -> ModelClients:
    """Return models whose workers never run, so that requests stay queued."""
    vad: Batcher[DetectorInput, Probabilities] = Batcher(
        ThreadWorker(lambda: None, detect, name="vad"), max_items=10, max_waiting=10, stateless=False
    )
    asr: Batcher[RecognitionRequest, Hypothesis] = Batcher(
        ThreadWorker(lambda: None, transcribe, name="asr"), max_items=10, max_waiting=10
    )
    return ModelClients(Slots(), vad, asr, continues=True)


@asynccontextmanager
async def running_models(
    detect: Detect = detect, vad_deadline: float = float("inf"), transcribe: Transcribe = transcribe
) -> AsyncIterator[ModelClients]:
    """Run a loudness detector and a recognizer that describes its audio. vad_deadline: seconds per step."""
    vad_worker = ThreadWorker(lambda: None, detect, name="vad", deadline=lambda work: vad_deadline)
    asr_worker = ThreadWorker(lambda: None, transcribe, name="asr")
    await vad_worker.start()
    await asr_worker.start()
    async with (
        Batcher(vad_worker, max_items=10, max_waiting=10, stateless=False) as vad,
        Batcher(asr_worker, max_items=10, max_waiting=10) as asr,
    ):
        yield ModelClients(Slots(), vad, asr, continues=True)
