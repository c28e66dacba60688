"""Run the server of these tests in a process that is killed and restarted on the same port."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]

from server.settings import Settings
from tests.faults.fingerprint import NAME
from tests.faults.server_process import ALIVE
from tests.server.live_server import ROOT
from tests.server.server_process import free_port, kill

COMMAND = (sys.executable, "-m", "tests.faults.server_process")
READY_SECONDS = 90.0
# A session that waits to kill does not read and may be disconnected, so it must return within RESUME_SECONDS.
SETTLE_SECONDS = 20.0
TURN_SECONDS = 10.0
CALM_SECONDS = 1.0
SETTINGS = {
    "HOST": "127.0.0.1",
    "ASR_MODEL": NAME,
    "MAX_SESSIONS": "5000",
    "SEND_TIMEOUT_SECONDS": "1",
    "NO_AUDIO_SECONDS": "0",  # a client that is late on a busy machine must not end its utterance
    "RESUME_SECONDS": "40",
    "RESUME_BYTES": str(64 << 20),
    "OMP_NUM_THREADS": "1",
}


class Server:
    """Start, kill and restart the server.

    folder: its working directory; kills, recognizer_kills: how often each process was killed
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        self.kills = 0
        self.recognizer_kills = 0
        self.ready_seconds: list[float] = []  # from each start to /ready
        self._folder = folder
        self._port = free_port()
        self._alive = folder / "alive"
        self._alive.mkdir(parents=True)
        inherited = {k: v for k, v in os.environ.items() if k.lower() not in Settings.model_fields}
        own = {"PORT": str(self._port), ALIVE: str(self._alive), "PYTHONPATH": str(ROOT)}
        self._environment = inherited | SETTINGS | own | settings
        self._process: subprocess.Popen[bytes] | None = None
        self._killing = asyncio.Lock()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._port}/ws/stt"

    @property
    def log(self) -> str:
        """The log since the first start."""
        return (self._folder / "log").read_text(errors="replace")

    async def start(self) -> None:
        """Start the server and wait until it is ready."""
        began = time.monotonic()
        self._process = self._spawn()
        async with asyncio.timeout(READY_SECONDS), httpx.AsyncClient(trust_env=False, verify=False) as client:
            while not await self._is_ready(client):
                assert self._process.poll() is None, f"The server has ended: {self.log[-2000:]}"
                await asyncio.sleep(0.05)
        self.ready_seconds.append(time.monotonic() - began)

    def _spawn(self) -> "subprocess.Popen[bytes]":
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(COMMAND, cwd=self._folder, env=self._environment, stdout=log, stderr=log)

    async def _is_ready(self, client: httpx.AsyncClient) -> bool:
        try:
            answer = await client.get(f"http://127.0.0.1:{self._port}/ready")
        except httpx.TransportError:
            return False
        return answer.status_code == 200

    async def kill(self) -> None:
        """Kill the server and start it again on the same port. Do nothing if other kills take too long."""
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._killing.acquire()
        except TimeoutError:
            return
        try:
            assert self._process is not None
            kill(self._process.pid)
            self._process.wait(READY_SECONDS)
            self.kills += 1
            await self.start()
        finally:
            self._killing.release()

    async def kill_recognizer(self) -> None:
        """Kill a recognizer once it has answered for a while, or do nothing if that takes too long.

        A final that failed three times would be given up (docs/decisions/0014).
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS), self._killing:
                while True:
                    if self._kill_one():
                        break
                    await asyncio.sleep(0.02)

    def _kill_one(self) -> bool:
        assert self._process is not None
        for child in self._recognizers(self._process.pid):
            with suppress(psutil.NoSuchProcess):
                child.send_signal(signal.SIGKILL)
                self.recognizer_kills += 1
                return True
        return False

    def _recognizers(self, pid: int) -> Iterator[psutil.Process]:
        for child in psutil.Process(pid).children():
            answered = self._alive / str(child.pid)
            with suppress(psutil.NoSuchProcess):  # the process may end meanwhile
                is_dead = child.status() == psutil.STATUS_ZOMBIE
                if not is_dead and answered.exists() and _age(answered) >= CALM_SECONDS:
                    yield child

    def end(self) -> None:
        if self._process is not None:
            kill(self._process.pid)
            self._process.wait(READY_SECONDS)


def _age(file: Path) -> float:
    """Return the seconds since the file was written."""
    return time.time() - file.stat().st_mtime


@asynccontextmanager
async def running(folder: Path, **settings: str) -> AsyncIterator[Server]:
    server = Server(folder, **settings)
    try:
        await server.start()
        yield server
    finally:
        server.end()
