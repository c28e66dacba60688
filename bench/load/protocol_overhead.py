"""Measure the CPU and memory per stream of the server without recognition.

    python -m bench.load.protocol_overhead --streams 800 --seconds 20

The recognizer costs nothing. The server runs on one core, the load on another. First as many streams as in
the load are opened and left idle, to measure their memory; then the load runs. The server's settings come
from the environment, except for those printed.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final

import orjson
import uvloop

from bench import ROOT
from bench.load.fast_ws_client import LoadSocket, Opcode, encode, open_socket
from bench.load.load import (
    add_arguments,
    describe,
    measure,
    raise_file_limit,
    record_tapes,
    settings_of,
    show,
)
from bench.load.load_generator import MAX_CONCURRENT_OPENS
from bench.load.machine import machine
from bench.load.message_tape import Tape
from bench.load.process_monitor import usage_of

ALLOCATOR: Final = {  # as in entrypoint.sh and the image
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_TRIM_THRESHOLD_": "131072",
    "MALLOC_MMAP_THRESHOLD_": "131072",
}
READY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
IDLE_SECONDS: Final = 30.0  # longest wait until all idle streams are open, and until they are closed
SESSION_UPDATE: Final = encode(Opcode.TEXT, b'{"type":"session.update","session":{"events":"all"}}')
CLOSE_FRAME: Final = encode(Opcode.CLOSE, (1000).to_bytes(2, "big"))


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Describe a running server.

    url: of its WebSocket; ready_seconds: from its start until /ready answered 200
    """

    pid: int
    url: str
    ready_seconds: float


@contextmanager
def pinned(core: int | None) -> Iterator[bool]:
    """Pin this process, and processes that it starts in the block, to one core.

    Yields whether it is pinned: not if core is None or the system does not support it.
    """
    if core is None or not hasattr(os, "sched_setaffinity"):
        yield False
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield True
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def running_server(
    core: int | None, settings: Mapping[str, str], program: Sequence[str] = ("main.py",)
) -> Iterator[RunningServer]:
    """Start a server in a process of its own, pinned to a core unless core is None.

    Its memory allocator is set as by entrypoint.sh, unless the environment says otherwise.

    Yields once /ready answers 200. Raises SystemExit with the server's log if it fails.
    """
    with tempfile.TemporaryFile("w+") as log:
        began = time.monotonic()
        with pinned(core):
            process = subprocess.Popen(
                [sys.executable, *program],
                cwd=ROOT,
                env={**ALLOCATOR, **os.environ, **settings},
                stdout=log,
                stderr=log,
            )
        try:
            base = f"{settings['HOST']}:{settings['PORT']}"
            wait_until_ready(f"http://{base}/ready", process, log)
            yield RunningServer(process.pid, f"ws://{base}/ws/stt", time.monotonic() - began)
        finally:
            stop(process)


def wait_until_ready(address: str, process: "subprocess.Popen[bytes]", log: IO[str]) -> None:
    """Wait until the address answers 200.

    Raises SystemExit with the log if the server ends or does not answer in time.
    """
    deadline = time.monotonic() + READY_SECONDS
    while not answers(address):
        if process.poll() is not None or time.monotonic() > deadline:
            log.seek(0)
            raise SystemExit(f"The server did not become ready:\n{log.read()[-4000:]}")
        time.sleep(0.05)


def answers(address: str) -> bool:
    """Return whether the address answers with a success status."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop a process with SIGTERM, and with SIGKILL if it does not end."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """Return a TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def idle_kb_per_stream(server: RunningServer, streams: int) -> float:
    """Return the resident memory of an open stream that sends no audio.

    Raises HandshakeError and TimeoutError.
    """
    before = usage_of(server.pid).rss
    limit = asyncio.Semaphore(MAX_CONCURRENT_OPENS)

    async def open_one() -> LoadSocket:
        answered = asyncio.get_running_loop().create_future()

        def on_text(text: bytes, arrival: float) -> None:
            if orjson.loads(text)["type"] == "session.updated":
                answered.set_result(None)

        async with limit:
            idle = await open_socket(server.url, on_text)
            idle.write(SESSION_UPDATE)
            await answered
        return idle

    async with asyncio.timeout(IDLE_SECONDS):
        sockets = await asyncio.gather(*(open_one() for _ in range(streams)))
    after = usage_of(server.pid).rss
    for idle in sockets:
        idle.write(CLOSE_FRAME)
    async with asyncio.timeout(IDLE_SECONDS):
        await asyncio.gather(*(idle.closed for idle in sockets))
    return round((after - before) / 1024 / streams, 1)


async def measure_all(
    tapes: Sequence[Tape], server: RunningServer, options: argparse.Namespace
) -> dict[str, Any]:
    """Measure idle streams, then the load."""
    ready_mb = usage_of(server.pid).rss / 2**20
    idle = await idle_kb_per_stream(server, options.streams)
    figures = await measure(tapes, server.url, options, server.pid)
    of_server = figures["server"]
    # The idle streams' memory may still be held when the load begins, so live streams count from /ready.
    live = (of_server["rss_mb_peak"] - ready_mb) * 1024 / options.streams
    of_server |= {
        "ready_seconds": round(server.ready_seconds, 2),
        "rss_mb_ready": round(ready_mb, 1),
        "idle_kb_per_stream": idle,
        "live_kb_per_stream": round(live, 1),
    }
    return figures


def main() -> int:
    """Run the benchmark and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.load.protocol_overhead",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser, streams=800)
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    options = parser.parse_args()
    raise_file_limit()
    tapes = record_tapes(options)
    settings = {
        "ASR_MODEL": "free",
        "ASR_WORKER": "thread",  # leaves out the cost of moving clips to another process
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
        "MAX_SESSIONS": str(options.streams + 100),
    }
    head = {
        "machine": machine(),
        "inputs": describe(tapes),
        "settings": settings_of(options),
        "environment": settings,
    }
    for title, part in head.items():
        show(title, part)
    with running_server(options.server_core, settings) as server, pinned(options.client_core) as is_pinned:
        figures = uvloop.run(measure_all(tapes, server, options))
    show("figures", figures)
    print(json.dumps({"bench": "shell", "pinned": is_pinned, **head, **figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
