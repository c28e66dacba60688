"""Measure what session journals cost, and how fast sessions resume: python -m bench.load.journal.

The same load against a server without journals and with each policy of fsync, one after the other, the server
on one core and the load on another. Then clients are cut off and come back; and last the server is killed
with sessions open, started again, and timed until every one of them has heard all its finals.
Settings of the server come from the environment, but for those printed.
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
from bench.load.load_generator import END
from bench.load.machine import machine
from bench.load.message_tape import Tape
from bench.load.protocol_overhead import free_port, pinned, running_server

EVENTS: Final = "session.created,session.closed,input_audio_buffer.acknowledged"
LIVELY: Final = f"{EVENTS},transcript.partial"  # of the streams that are the load
POLICIES: Final = ("off", "never", "second", "always")
BYTES_PER_SECOND: Final = 32_000  # of PCM16 at 16 kHz
SECONDS_SAID: Final = 6.0  # by a session before it is cut off, or its server killed
PATIENCE: Final = 60.0
RETRY_SECONDS: Final = 0.05
FINAL: Final = "response.audio_transcript.done"


class Guest:
    """A session whose line, or whose server, breaks.

    acknowledged: everything that was said has been; first: when the first missed message came, on the
    loop's clock
    """

    def __init__(self, url: str, tape: Tape) -> None:
        self.finals = 0
        self.acknowledged = asyncio.Event()
        self.first: float | None = None
        self._url = url
        self._tape = tape
        self._frames = round(SECONDS_SAID * 1000 / tape.chunk_ms)
        self._token = ""
        self._seq = 0
        self._over, self._told = asyncio.Event(), asyncio.Event()

    async def talk(self) -> None:
        """As fast as it goes, and not to the end. Raises HandshakeError, OSError, TimeoutError."""
        self.socket: LoadSocket = await open_socket(f"{self._url}?events={EVENTS}", self._on_text)
        for frame in self._tape.frames[: self._frames]:
            self.socket.write(frame)
            await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE):
            await self.acknowledged.wait()

    async def come_back(self, seen: int) -> None:
        """Until it is let in. Raises TimeoutError."""
        self.first, self._told = None, asyncio.Event()
        async with asyncio.timeout(PATIENCE):
            while True:
                if await self._is_let_in(seen):
                    return
                await asyncio.sleep(RETRY_SECONDS)

    async def _is_let_in(self, seen: int) -> bool:
        query = f"resume={self._token}&ack={seen}"
        try:
            self.socket = await open_socket(f"{self._url}?{query}", self._on_text)
        except (HandshakeError, OSError):
            return False
        told = asyncio.create_task(self._told.wait())
        await asyncio.wait((told, self.socket.closed), return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        return self._told.is_set()

    async def end(self) -> None:
        """All finals have been told. Raises TimeoutError."""
        self.socket.write(END)
        async with asyncio.timeout(PATIENCE):
            await self._over.wait()

    def _on_text(self, text: bytes, arrival: float) -> None:
        message = orjson.loads(text)
        type_, self._seq = message["type"], message.get("seq", 0)
        self.finals += type_ == FINAL
        match type_:
            case "session.created":
                self._token = message["resume_token"]
            case "session.closed":
                self._over.set()
            case "input_audio_buffer.acknowledged":
                if message["received_ms"] >= (self._frames - 10) * self._tape.chunk_ms:
                    self.acknowledged.set()
            case _:
                pass
        if type_ not in ("session.resumed", "error"):
            self.first = self.first or arrival
            self._told.set()


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def under_load(tapes: Sequence[Tape], policy: str, options: argparse.Namespace) -> dict[str, Any]:
    """One run. disk_share: bytes on disk over those of the sound as PCM16."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(options.server_core, settings_with(policy, folder)) as server,
        pinned(options.client_core),
    ):
        url = f"{server.url}?events={EVENTS}"  # from the handshake on, or a session cannot be resumed
        figures = uvloop.run(measure(tapes, url, options, server.pid))
        written = bytes_in(Path(folder))
    said = options.streams * options.seconds * BYTES_PER_SECOND
    return {
        "cpu_ms_per_stream_s": round(1000 * figures["server"]["cpu_s_per_stream_s"], 3),
        "final_ms": figures["final_ms"],
        "loop_lag_ms": figures["server"]["loop_lag_ms"],
        "disk_share": round(written / said, 3),
        "lost": figures["lost"],
        "doubled": figures["doubled"],
        "errors": figures["errors"],
    }


def settings_with(policy: str, folder: str, port: int | None = None) -> dict[str, str]:
    plain = {
        "ASR_MODEL": "free",
        "ASR_WORKER": "thread",
        "HOST": "127.0.0.1",
        "PORT": str(port or free_port()),
        "LOG_LEVEL": "warning",
    }
    return plain if policy == "off" else plain | {"JOURNAL_DIR": folder, "JOURNAL_FSYNC": policy}


def cut_and_killed(tape: Tape, options: argparse.Namespace) -> dict[str, Any]:
    """resume_ms: from before the handshake to the first missed message; restart_s: from /ready to the last
    final of all sessions, and to each client's first message."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_with("never", folder, port)
        with running_server(None, settings) as server:
            guests = [Guest(server.url, tape) for _ in range(options.sessions)]
            resumed = uvloop.run(_cut(guests, options.resumes))
            os.kill(server.pid, signal.SIGKILL)
        with running_server(None, settings) as server:
            restart = uvloop.run(_restarted(guests))
            return {
                "resume_ms": summary(resumed),
                "restart": restart | {"ready_seconds": round(server.ready_seconds, 1)},
            }


async def _cut(guests: Sequence[Guest], resumes: int) -> list[float]:
    """Leaves all sessions open."""
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(guest.talk() for guest in guests))
    latencies = []
    for guest in guests[:resumes]:
        guest.socket.abort()
        await guest.socket.closed
        began = loop.time()
        await guest.come_back(seen=1)
        latencies.append(((guest.first or began) - began) * 1000)
    return latencies


async def _restarted(guests: Sequence[Guest]) -> dict[str, Any]:
    """Called when the server has just become ready."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    told: list[float] = []

    async def one(guest: Guest) -> None:
        guest.acknowledged = asyncio.Event()
        await guest.come_back(seen=1)
        told.append((guest.first or began) - began)
        await guest.end()

    for guest in guests:
        guest.finals = 0
    await asyncio.gather(*(one(guest) for guest in guests))
    return {
        "sessions": len(guests),
        "finals": sum(guest.finals for guest in guests),
        "first_message_s": round(max(told), 2),
        "all_finals_s": round(loop.time() - began, 2),
    }


def compared(rounds: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Each policy against none, round by round: the median of the rounds, and how far they lie apart."""
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
    return float(run["cpu_ms_per_stream_s"])


def p95_of(run: Mapping[str, Any]) -> float:
    return float(run["final_ms"]["p95"])


def spread(values: Sequence[float]) -> dict[str, float]:
    return {
        name: round(value, 1)
        for name, value in (("median", median(values)), ("min", min(values)), ("max", max(values)))
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.load.journal", description=__doc__)
    add_arguments(parser, streams=200)
    parser.set_defaults(events=LIVELY)
    parser.add_argument("--rounds", type=int, default=2, help="of all policies, one after the other")
    parser.add_argument("--sessions", type=int, default=100, help="that are open when the server is killed")
    parser.add_argument("--resumes", type=int, default=40)
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
    figures = {"rounds": rounds, "against_off": compared(rounds), **cut_and_killed(tapes[0], options)}
    for title in ("against_off", "resume_ms", "restart"):
        show(title, figures[title])
    print(json.dumps({"bench": "journal", **head, **figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
