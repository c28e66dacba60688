"""Call an ASGI application without a network, as a client that may disconnect."""

import asyncio
import io
import json
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
from fastapi import FastAPI

from asr.recognizer import ModelInfo
from audio.clip import Samples
from engine.engine import Engine, EngineState
from server.admission.controller import AdmissionController
from server.http.exception_handlers import add_exception_handlers
from server.http.request_id import RequestMiddleware
from server.observability.metrics import Metrics
from server.protocols.openai_audio.endpoint import OpenAIAudioEndpoint
from server.settings import Settings
from streaming.model_clients import ModelClients
from tests.server.live_server import Message, free_settings

NAME = "little"


class LittleEngine(Engine):
    """Lend the given models as soon as `gate` is set, without loading."""

    def __init__(
        self, models: ModelClients, *, translates: bool = False, languages: tuple[str, ...] = ()
    ) -> None:
        super().__init__(free_settings().engine_options())
        self.state = EngineState.READY
        self.gate = asyncio.Event()
        self.gate.set()
        self._lent = models
        self._description = ModelInfo(
            NAME, NAME, "free", "cpu", "none", languages=languages, translates=translates
        )

    @asynccontextmanager
    async def acquire(self, name: str | None = None) -> AsyncIterator[tuple[ModelClients, ModelInfo]]:
        await self.gate.wait()
        yield self._lent, self._description


def rest_app(
    engine: Engine, files: AdmissionController, settings: Settings | None = None, load_seconds: float = 60.0
) -> FastAPI:
    app, metrics = FastAPI(), Metrics()
    app.add_middleware(RequestMiddleware, metrics=metrics)
    add_exception_handlers(app)
    app.include_router(
        OpenAIAudioEndpoint(settings or free_settings(), engine, files, metrics, load_seconds).router()
    )
    return app


class Call:
    """Run one request. `status`, `headers` and `body` hold the response as far as it has arrived.

    body: sent in pieces; more: the last of them is not the end
    """

    def __init__(self, app: FastAPI, request: httpx.Request, *pieces: bytes, more: bool = False) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.body = b""
        self.reads = asyncio.Event()
        self.reads.set()
        self._app = app
        self._request = request
        self._pieces = [*(pieces or (request.read(),))]
        self._more = more
        self._gone = asyncio.Event()
        self._news = asyncio.Event()

    async def run(self) -> "Call":
        await self._app(
            {
                "type": "http",
                "method": self._request.method,
                "path": self._request.url.path,
                "raw_path": self._request.url.raw_path,
                "query_string": b"",
                "headers": [(name.lower(), value) for name, value in self._request.headers.raw],
            },
            self._receive,
            self._send,
        )
        return self

    def hangs_up(self) -> None:
        self._gone.set()

    async def hears(self, part: bytes) -> None:
        """Wait until the body contains the part."""
        while part not in self.body:
            self._news.clear()
            await self._news.wait()

    @property
    def json(self) -> Message:
        answer: Message = json.loads(self.body)
        return answer

    @property
    def events(self) -> list[Message]:
        return events_of(self.body.decode())

    async def _receive(self) -> Message:
        if self._pieces:
            piece = self._pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self._pieces) or self._more}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.reads.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message.get("body", b"")
        self._news.set()


def events_of(text: str) -> list[Message]:
    """Parse the data of server-sent events as JSON."""
    return [json.loads(part.removeprefix("data: ")) for part in text.split("\n\n") if part]


def asking(path: str = "transcriptions", *, file: bytes | None = None, **fields: Any) -> httpx.Request:
    """Build a request with a form. A field with a list is sent several times, without brackets."""
    files = {} if file is None else {"file": ("speech.wav", file)}
    fields.setdefault("model", "whisper-1")
    return httpx.Request("POST", f"http://here/v1/audio/{path}", data=fields, files=files or {"x": b""})


def wav(samples: Samples, rate: int = 16_000, channels: int = 1) -> bytes:
    """Encode samples as a PCM16 WAV file with the same audio in every channel."""
    return interleaved(*[samples] * channels, rate=rate)


def interleaved(*channels: Samples, rate: int = 16_000) -> bytes:
    """Encode channels as a PCM16 WAV file."""
    pcm = (np.stack(channels, axis=1) * 32_767).astype("<i2")
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm.tobytes())
    return stream.getvalue()
