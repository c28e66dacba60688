"""Measure the cost of session journals, and how fast sessions resume.

    python -m bench.load.journal --streams 60 --seconds 15 --rounds 2

The same load runs against a server without journals and with each fsync policy in turn, the server on one
core and the load on another. Then clients are disconnected and resume. Finally the server is killed while
sessions are open, started again, and timed until every session has all its finals. The server's settings come
from the environment, except for those printed.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import orjson
import uvloop

from bench.accuracy.scoring import summary
from bench.load.fast_ws_client import HandshakeError, LoadSocket, open_socket
from bench.load.load import (
    add_arguments,
    describe,
    measure,
    raise_file_limit,
    record_tapes,
    settings_of,
    show,
)
from bench.load.load_generator import END_OF_STREAM
from bench.load.machine import machine
from bench.load.message_tape import Tape
from bench.load.protocol_overhead import free_port, pinned, running_server

EVENTS: Final = "session.created,session.closed,input_audio_buffer.acknowledged"
LOAD_EVENTS: Final = f"{EVENTS},transcript.partial"
POLICIES: Final = ("off", "never", "second", "always")
PCM_BYTES_PER_SECOND: Final = 32_000  # PCM16 at 16 kHz
SENT_SECONDS: Final = 6.0  # of audio, before a session is disconnected or its server is killed
TIMEOUT_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 0.05
FINAL: Final = "response.audio_transcript.done"


class InterruptedClient:
    """Send audio, lose the connection or the server, and resume.

    finals: finals received; acknowledged: is set when the server has acknowledged the audio
    first: arrival of the first missed message, on the loop's clock
    """

    def __init__(self, url: str, tape: Tape) -> None:
        self.finals = 0
        self.acknowledged = asyncio.Event()
        self.first: float | None = None
        self._url = url
        self._tape = tape
        self._frames = round(SENT_SECONDS * 1000 / tape.chunk_ms)
        self._token = ""
        self._seq = 0
        self._closed, self._received = asyncio.Event(), asyncio.Event()

    async def send(self) -> None:
        """Send the audio as fast as possible, without ending the stream.

        Raises HandshakeError, OSError and TimeoutError.
        """
        self.socket: LoadSocket = await open_socket(f"{self._url}?events={EVENTS}", self._on_text)
        for frame in self._tape.frames[: self._frames]:
            self.socket.write(frame)
            await asyncio.sleep(0)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await self.acknowledged.wait()

    async def resume(self, seen: int) -> None:
        """Retry until the server resumes the session. seen: the acknowledged sequence number.

        Raises TimeoutError.
        """
        self.first, self._received = None, asyncio.Event()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                if await self._try_to_resume(seen):
                    return
                await asyncio.sleep(RETRY_SECONDS)

    async def _try_to_resume(self, seen: int) -> bool:
        query = f"resume={self._token}&ack={seen}"
        try:
            self.socket = await open_socket(f"{self._url}?{query}", self._on_text)
        except (HandshakeError, OSError):
            return False
        received = asyncio.create_task(self._received.wait())
        await asyncio.wait((received, self.socket.closed), return_when=asyncio.FIRST_COMPLETED)
        received.cancel()
        return self._received.is_set()

    async def end(self) -> None:
        """End the stream and wait for all finals. Raises TimeoutError."""
        self.socket.write(END_OF_STREAM)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await self._closed.wait()

    def _on_text(self, text: bytes, arrival: float) -> None:
        message = orjson.loads(text)
        type_, self._seq = message["type"], message.get("seq", 0)
        self.finals += type_ == FINAL
        match type_:
            case "session.created":
                self._token = message["resume_token"]
            case "session.closed":
                self._closed.set()
            case "input_audio_buffer.acknowledged":
                if message["received_ms"] >= (self._frames - 10) * self._tape.chunk_ms:
                    self.acknowledged.set()
            case _:
                pass
        if type_ not in ("session.resumed", "error"):
            self.first = self.first or arrival
            self._received.set()


def bytes_in(folder: Path) -> int:
    """Return the size of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def under_load(tapes: Sequence[Tape], policy: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run the load once with one policy. disk_share: bytes on disk per byte of audio as PCM16."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(options.server_core, settings_with(policy, folder)) as server,
        pinned(options.client_core),
    ):
        url = f"{server.url}?events={EVENTS}"  # a session must subscribe in its URL to resume from its start
        figures = uvloop.run(measure(tapes, url, options, server.pid))
        written = bytes_in(Path(folder))
    sent = options.streams * options.seconds * PCM_BYTES_PER_SECOND
    return {
        "cpu_ms_per_stream_s": round(1000 * figures["server"]["cpu_s_per_stream_s"], 3),
        "final_ms": figures["final_ms"],
        "loop_lag_ms": figures["server"]["loop_lag_ms"],
        "disk_share": round(written / sent, 3),
        "lost": figures["lost"],
        "doubled": figures["doubled"],
        "errors": figures["errors"],
    }


def settings_with(policy: str, folder: str, port: int | None = None) -> dict[str, str]:
    """Return the environment of the server; policy "off" means no journals."""
    plain = {
        "ASR_MODEL": "free",
        "ASR_WORKER": "thread",
        "HOST": "127.0.0.1",
        "PORT": str(port or free_port()),
        "LOG_LEVEL": "warning",
    }
    return plain if policy == "off" else plain | {"JOURNAL_DIR": folder, "JOURNAL_FSYNC": policy}


def interrupt_and_restart(tape: Tape, options: argparse.Namespace) -> dict[str, Any]:
    """Disconnect clients and let them resume, then kill the server and start it again.

    resume_ms: from the start of the handshake to the first missed message; restart: seconds from /ready to
    the first message of each client and to the last final of all sessions
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_with("never", folder, port)
        with running_server(None, settings) as server:
            clients = [InterruptedClient(server.url, tape) for _ in range(options.sessions)]
            resumed = uvloop.run(_disconnect_and_resume(clients, options.resumes))
            os.kill(server.pid, signal.SIGKILL)
        with running_server(None, settings) as server:
            restart = uvloop.run(_resume_after_restart(clients))
            return {
                "resume_ms": summary(resumed),
                "restart": restart | {"ready_seconds": round(server.ready_seconds, 1)},
            }


async def _disconnect_and_resume(clients: Sequence[InterruptedClient], resumes: int) -> list[float]:
    """Return the resume latencies in ms. All sessions stay open."""
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(each.send() for each in clients))
    latencies = []
    for each in clients[:resumes]:
        each.socket.abort()
        await each.socket.closed
        began = loop.time()
        await each.resume(seen=1)
        latencies.append(((each.first or began) - began) * 1000)
    return latencies


async def _resume_after_restart(clients: Sequence[InterruptedClient]) -> dict[str, Any]:
    """Resume all sessions of a server that has just become ready, and wait for their finals."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    first_messages: list[float] = []

    async def resume(each: InterruptedClient) -> None:
        each.acknowledged = asyncio.Event()
        await each.resume(seen=1)
        first_messages.append((each.first or began) - began)
        await each.end()

    for each in clients:
        each.finals = 0
    await asyncio.gather(*(resume(each) for each in clients))
    return {
        "sessions": len(clients),
        "finals": sum(each.finals for each in clients),
        "first_message_s": round(max(first_messages), 2),
        "all_finals_s": round(loop.time() - began, 2),
    }


def compared(rounds: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Compare each policy with no journals round by round; return median, least and greatest difference."""
    return {
        policy: {
            "cpu_%": spread([100 * (cpu_of(run) / cpu_of(off) - 1) for run, off in _pairs(rounds, policy)]),
            "p95_ms": spread([p95_of(run) - p95_of(off) for run, off in _pairs(rounds, policy)]),
        }
        for policy in rounds
        if policy != "off"
    }


def _pairs(
    rounds: Mapping[str, Sequence[Mapping[str, Any]]], policy: str
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    return zip(rounds[policy], rounds["off"], strict=True)


def cpu_of(run: Mapping[str, Any]) -> float:
    """Return the CPU cost of a run in ms per stream-second."""
    return float(run["cpu_ms_per_stream_s"])


def p95_of(run: Mapping[str, Any]) -> float:
    """Return the 95th percentile of the final latency in ms."""
    return float(run["final_ms"]["p95"])


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, minimum and maximum, rounded to a tenth."""
    return {
        name: round(value, 1)
        for name, value in (("median", median(values)), ("min", min(values)), ("max", max(values)))
    }


def main() -> int:
    """Run the benchmark and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.load.journal",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser, streams=200)
    parser.set_defaults(events=LOAD_EVENTS)
    parser.add_argument("--rounds", type=int, default=2, help="repetitions of all policies")
    parser.add_argument("--sessions", type=int, default=100, help="sessions open when the server is killed")
    parser.add_argument("--resumes", type=int, default=40, help="sessions that are disconnected and resume")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    options = parser.parse_args()
    raise_file_limit()
    tapes = record_tapes(options)
    head = {
        "machine": machine() | {"load": os.getloadavg()[0]},
        "inputs": describe(tapes),
        "settings": settings_of(options),
        "environment": settings_with("off", "", 1) | {"PORT": "(free)"},
    }
    for title, part in head.items():
        show(title, part)
    rounds: dict[str, list[dict[str, Any]]] = {policy: [] for policy in POLICIES}
    for _ in range(options.rounds):
        for policy in POLICIES:
            rounds[policy].append(under_load(tapes, policy, options))
            show(f"journal {policy}", rounds[policy][-1])
            time.sleep(1)
    figures = {"rounds": rounds, "against_off": compared(rounds), **interrupt_and_restart(tapes[0], options)}
    for title in ("against_off", "resume_ms", "restart"):
        show(title, figures[title])
    print(json.dumps({"bench": "journal", **head, **figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
