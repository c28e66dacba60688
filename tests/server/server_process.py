"""Run the server as a process, and observe its responses, its log and its exit status."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]

from server.settings import Settings
from tests import plain_http
from tests.server.live_server import ROOT

PATIENCE = 60.0  # seconds; a machine may be busy
MAIN = (sys.executable, str(ROOT / "main.py"))
SCRIPTED = (sys.executable, "-m", "tests.scripted")
UVICORN = (sys.executable, "-m", "uvicorn", "main:app", "--app-dir", str(ROOT), "--port")


class Program:
    """Hold a started server process. `log` is its output so far."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.ws = f"ws://127.0.0.1:{port}/ws/stt"
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def get(self, path: str) -> httpx.Response:
        """Return the response as soon as the port is open."""
        for _ in self._patiently():
            try:
                return plain_http.get(self.url + path, timeout=10)
            except httpx.TransportError:
                continue
        raise AssertionError(f"The port did not open: {self.log}")

    def ready(self) -> dict[str, Any]:
        """Return the reply of /ready once the models have loaded or failed."""
        for _ in self._patiently():
            answer: dict[str, Any] = self.get("/ready").json()
            if answer["state"] != "loading":
                return answer
        raise AssertionError(f"The models did not load: {self.log}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.exit_status()

    def exit_status(self, seconds: float = PATIENCE) -> int:
        return self.process.wait(seconds)

    def recognizer(self) -> psutil.Process:
        """Return the only process of a recognizer."""
        (child,) = self.recognizers()
        return child

    def recognizers(self) -> list[psutil.Process]:
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if _is_recognizer(child)]

    def _patiently(self) -> Iterator[None]:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            assert self.process.poll() is None, f"The server has ended: {self.log}"
            yield
            time.sleep(0.02)


@contextmanager
def program(command: tuple[str, ...] = MAIN, **environment: str) -> Iterator[Program]:
    """Run main.py or uvicorn in a folder without `.env`, with the dummy recognizer."""
    port = int(environment.setdefault("PORT", str(free_port())))
    arguments = [*command, str(port)] if command == UVICORN else command
    inherited = {k: v for k, v in os.environ.items() if k.lower() not in Settings.model_fields}
    defaults = {"HOST": "127.0.0.1", "ASR_MODEL": "free", "DIARIZE": "false"}
    with tempfile.TemporaryDirectory() as folder, Path(folder, "log").open("wb") as log:
        process = subprocess.Popen(
            arguments, cwd=folder, env=inherited | defaults | environment, stdout=log, stderr=log
        )
        try:
            yield Program(process, port, Path(folder, "log"))
        finally:
            kill(process.pid)
            process.wait(PATIENCE)


def scripted(**environment: str) -> AbstractContextManager[Program]:
    """Run the server with a recognizer that answers with the words of test.wav (tests/scripted.py)."""
    return program(SCRIPTED, ASR_MODEL="scripted", PYTHONPATH=str(ROOT), **environment)


class Hold:
    """Hold the recognizer of tests/scripted.py, so that a test decides when it goes on.

    file: the value of SCRIPTED_HOLD
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def settings(self) -> dict[str, str]:
        return {"SCRIPTED_HOLD": str(self._file)}

    def at(self, text: str) -> None:
        """Hold the clips that contain the text: all of them where it is empty."""
        self._file.write_text(text)

    def release(self) -> None:
        self._file.unlink(missing_ok=True)


def kill(pid: int) -> None:
    """Kill a process and all its children."""
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in family:
        process.kill()


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


def _is_recognizer(child: psutil.Process) -> bool:
    """Return whether this child is the running process of a recognizer. It may end meanwhile."""
    try:
        return child.is_running() and "--multiprocessing-fork" in child.cmdline()
    except psutil.NoSuchProcess:  # a zombie is one too
        return False
