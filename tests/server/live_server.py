"""Run a real server in a thread, with a client that sends and receives JSON."""

import json
import threading
import wave
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pybase64
import uvicorn
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from engine.engine import Engine
from server.app import create_app
from server.http.uvicorn_protocols import HttpProtocol, WebSocketProtocol
from server.settings import Settings, WorkerKind
from tests import plain_http
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
Message = dict[str, Any]
START_SECONDS = 60.0  # to start, and to stop; a machine may be busy


def vad_setting(option: str) -> str:
    """Return the server's setting for an option of VadOptions."""
    return "vad_pre_roll_ms" if option == "prefix_ms" else f"vad_{option}"


def free_settings(**changes: Any) -> Settings:
    """Return settings with the dummy recognizer. A disconnected session ends at once."""
    defaults: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": 0,
        "asr_model": "free",
        "asr_worker": WorkerKind.THREAD,
        "resume_seconds": 0,
        "data_dir": "",
        "diarize": False,  # Its model may have to be downloaded.
    }
    return Settings(_env_file=None, **(defaults | changes))


class Server:
    """Give access to a running server. `url` is for HTTP, `ws` for the native WebSocket."""

    def __init__(self, app: FastAPI, uvicorn_server: uvicorn.Server) -> None:
        self.app = app
        self._server = uvicorn_server
        port = uvicorn_server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.ws = f"ws://127.0.0.1:{port}/ws/stt"

    @property
    def engine(self) -> Engine:
        engine: Engine = self.app.state.engine
        return engine

    def open_connections(self) -> int:
        return len(self._server.server_state.connections)

    def unsent_bytes(self) -> int:
        """Return the size of the write buffers of all connections."""
        connections = list(self._server.server_state.connections)
        return sum(connection.transport.get_write_buffer_size() for connection in connections)

    def get(self, path: str) -> httpx.Response:
        return plain_http.get(self.url + path, timeout=60)

    def metric(self, name: str) -> float:
        for line in self.get("/metrics").text.splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[-1])
        raise KeyError(name)

    def stop(self) -> None:
        self._server.should_exit = True


@contextmanager
def serve(settings: Settings, *, wait_until_ready: bool = True) -> Iterator[Server]:
    app = create_app(settings, on_failure=lambda: None)
    config = uvicorn.Config(
        app,
        "127.0.0.1",
        0,
        log_config=None,
        http=HttpProtocol,
        ws=WebSocketProtocol,
        ws_max_size=22 << 20,
        ws_per_message_deflate=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started or not thread.is_alive(), START_SECONDS)
    assert server.started, "the server did not start"
    running = Server(app, server)

    def is_ready() -> bool:
        assert running.engine.error is None, running.engine.error
        return running.get("/ready").status_code == 200

    try:
        if wait_until_ready:
            wait_until(is_ready, START_SECONDS)
        yield running
    finally:
        running.stop()
        thread.join(START_SECONDS)
        assert not thread.is_alive(), "the server did not stop"


class Client:
    """Hold one connection inside a with block."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._leaving = ExitStack()
        self.socket: ClientConnection
        self.close_code: int | None = None

    def __enter__(self) -> Self:
        self.socket = self._leaving.enter_context(connect(self._url, compression=None, max_size=None))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.close()

    def say(self, type_: str, **fields: object) -> None:
        self.socket.send(json.dumps({"type": type_, **fields}))

    def append(self, pcm: bytes, **fields: object) -> None:
        self.say("input_audio_buffer.append", audio=pybase64.b64encode(pcm).decode(), **fields)

    def talk(self, pcm: bytes, chunk: int = 3200, **fields: object) -> None:
        for start in range(0, len(pcm), chunk):
            self.append(pcm[start : start + chunk], **fields)

    def hear(self) -> Message:
        """Return the next message."""
        message: Message = json.loads(self.socket.recv(timeout=20))
        return message

    def hear_until_closed(self) -> list[Message]:
        messages = []
        try:
            while True:
                messages.append(self.hear())
        except ConnectionClosed as closed:
            self.close_code = closed.rcvd.code if closed.rcvd else None
        return messages

    def end(self) -> list[Message]:
        """Send end_of_stream and return all remaining messages."""
        self.say("end_of_stream")
        return self.hear_until_closed()


def spoken_apart() -> bytes:
    """Return the samples of test.wav with 4 s of silence after its first sentence."""
    samples, cut = spoken(), round(3.5 * 32_000)
    return samples[:cut] + bytes(4 * 32_000) + samples[cut:]


def spoken() -> bytes:
    """Return test.wav as PCM16 at 16 kHz: three sentences with pauses."""
    with wave.open(str(ROOT / "test.wav")) as file:
        pcm: bytes = file.readframes(file.getnframes())
    return pcm


def first_sentence() -> bytes:
    return spoken()[: 2 * 16 * 3600]


def cut_sentence() -> bytes:
    """Return the beginning of test.wav up to the middle of its first sentence."""
    return spoken()[: 2 * 16 * 1500]


def dones(messages: list[Message]) -> list[Message]:
    return [m for m in messages if m["type"] == "response.audio_transcript.done"]


def errors(messages: list[Message]) -> list[Message]:
    return [m for m in messages if m["type"] == "error"]
