"""Measure whether memory or latency grow while sessions come and go.

    python -m bench.load.soak --seconds 1800 --journal --arrivals 3

Clients of all protocols arrive at random. Most send in real time until the end; some lose their connection
and resume, some disconnect without a close frame, some read slowly, some send no audio, and some post a file.
The recognizer costs nothing. The server's settings come from the environment, except for those printed.

The exit status is 1 if a target is missed.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import numpy as np
import uvloop

from bench import ROOT
from bench.accuracy.scoring import percentile
from bench.load.fast_ws_client import HandshakeError
from bench.load.load import add_arguments, describe, raise_file_limit, record_tapes, settings_of, show
from bench.load.machine import machine
from bench.load.message_tape import Tape
from bench.load.process_monitor import usage_of
from bench.load.protocol_overhead import free_port, running_server
from bench.load.simulated_client import PROTOCOLS, Behaviour, ClientProtocol, ClientResult, SimulatedClient

SAMPLING_SECONDS: Final = 1.0  # between two readings of memory
WINDOW_SECONDS: Final = 300.0
WARM_UP_SECONDS: Final = 120.0
MAX_MEMORY_GROWTH: Final = 0.02
MAX_LATENCY_GROWTH: Final = 0.10
WEIGHTS: Final = {
    Behaviour.STEADY: 12,
    Behaviour.RESUMES: 3,
    Behaviour.DISCONNECTS: 2,
    Behaviour.SLOW: 1,
    Behaviour.SILENT: 1,
    Behaviour.FILE: 1,
}


@dataclass(slots=True)
class SoakLog:
    """Collect what was seen. Times are seconds since the start.

    finals: pairs of time and latency in ms; memory: pairs of time and bytes; clients: counts by kind
    """

    finals: list[tuple[float, float]] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)
    clients: Counter[str] = field(default_factory=Counter)
    connects: int = 0
    utterances: int = 0
    lost: int = 0
    doubled: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, behaviour: Behaviour, result: ClientResult, began: float) -> None:
        """Add the result of a client that began at `began`."""
        self.connects += result.connects
        self.errors += result.errors
        if result.score is None:
            return
        self.utterances += result.score.utterances
        self.lost += result.score.lost
        self.doubled += result.score.doubled
        if behaviour is Behaviour.STEADY:  # other clients cause their own latency
            self.finals += [(began + end_ms / 1000, latency) for end_ms, latency in result.score.finals]


def within(rows: Sequence[tuple[float, float]], start: float, end: float) -> list[float]:
    """Return the values whose time is in [start, end)."""
    return [value for at, value in rows if start <= at < end]


def growth_per_hour(rows: Sequence[tuple[float, float]]) -> float:
    """Fit a line and return its slope per hour as a share of the mean."""
    at, value = np.array(rows, np.float64).T
    return float(np.polyfit(at, value, 1)[0] * 3600 / value.mean())


def by_minute(rows: Sequence[tuple[float, float]]) -> list[int]:
    """Return the median of each minute in MB."""
    minutes = range(int(rows[-1][0] // 60) + 1)
    return [round((percentile(within(rows, 60 * m, 60 * m + 60), 50) or 0.0) / 2**20) for m in minutes]


def evaluate(log: SoakLog, seconds: float) -> dict[str, Any]:
    """Compare the first window after the warm-up with the last one.

    slower_%: growth of the p95 of finals; grown_%: growth of memory; held: whether all targets are met
    """
    warm = min(WARM_UP_SECONDS, seconds / 4)
    window = min(WINDOW_SECONDS, (seconds - warm) / 2)
    spans = ((warm, warm + window), (seconds - window, seconds))
    first, last = ([percentile(within(log.finals, *span), q) for q in (50, 95, 99)] for span in spans)
    before, after = (percentile(within(log.memory, *span), 50) or 0.0 for span in spans)
    slower = (last[1] or 0.0) / (first[1] or 1.0) - 1
    grown = after / before - 1
    figures = {
        "seconds": round(seconds),
        "window_seconds": round(window),
        "connects": log.connects,
        "clients": dict(sorted(log.clients.items())),
        "utterances": log.utterances,
        "lost": log.lost,
        "doubled": log.doubled,
        "errors": dict(log.errors),
        "final_ms_first": [value and round(value, 1) for value in first],
        "final_ms_last": [value and round(value, 1) for value in last],
        "slower_%": round(100 * slower, 1),
        "rss_mb_first": round(before / 2**20, 1),
        "rss_mb_last": round(after / 2**20, 1),
        "grown_%": round(100 * grown, 2),
        "rss_mb_by_minute": by_minute(log.memory),
        "slope_%_an_hour": round(100 * growth_per_hour([row for row in log.memory if row[0] >= warm]), 2),
    }
    clean = not (log.errors or log.lost or log.doubled)
    return figures | {"held": clean and slower <= MAX_LATENCY_GROWTH and abs(grown) <= MAX_MEMORY_GROWTH}


def table(figures: dict[str, Any]) -> str:
    """Return the table of bench/results.md in Markdown."""
    rows = [("", "first window", "last window", "change")]
    for name, key in (("p50", 0), ("p95", 1), ("p99", 2)):
        change = f"{figures['slower_%']} %" if key == 1 else ""
        rows.append(
            (f"final {name}, ms", figures["final_ms_first"][key], figures["final_ms_last"][key], change)
        )
    memory = (figures["rss_mb_first"], figures["rss_mb_last"], f"{figures['grown_%']} %")
    rows.append(("memory, MB", *memory))
    lines = [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join([lines[0], "|---|---|---|---|", *lines[1:]])


class Soak:
    """Start clients at random, and log what they and the server do.

    tapes: the audio as JSON messages and as binary frames
    """

    def __init__(
        self,
        url: str,
        tapes: tuple[Sequence[Tape], Sequence[Tape]],
        options: argparse.Namespace,
    ) -> None:
        self.log = SoakLog()
        self._url = url
        self._tapes = dict(zip((False, True), tapes, strict=True))
        self._options = options
        self._rng = np.random.default_rng(options.seed)
        self._wav = (ROOT / "test.wav").read_bytes()

    async def run(self, pid: int) -> None:
        """Start clients for the given time, and wait until all have ended. pid: process of the server."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        monitoring = asyncio.create_task(self._monitor_memory(pid, began))
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http, asyncio.TaskGroup() as clients:
            while (now := loop.time() - began) < self._options.seconds:
                clients.create_task(self._run_client(http, now))
                await asyncio.sleep(float(self._rng.exponential(1 / self._options.arrivals)))
        monitoring.cancel()

    async def _monitor_memory(self, pid: int, began: float) -> None:
        while True:
            now = asyncio.get_running_loop().time() - began
            self.log.memory.append((now, usage_of(pid).rss))
            await asyncio.sleep(SAMPLING_SECONDS)

    async def _run_client(self, http: httpx.AsyncClient, now: float) -> None:
        weights = np.array(list(WEIGHTS.values()))
        behaviour = list(WEIGHTS)[self._rng.choice(len(weights), p=weights / weights.sum())]
        if behaviour is Behaviour.FILE:
            self.log.clients["file"] += 1
            self.log.connects += 1
            await self._post(http)
            return
        protocol = PROTOCOLS["native"] if behaviour is Behaviour.RESUMES else self._pick_protocol()
        self.log.clients[f"{protocol.name} {behaviour}"] += 1
        tapes = self._tapes[protocol.binary]
        tape = tapes[int(self._rng.integers(len(tapes)))]
        count = round(self._rng.uniform(0.5, 1.5) * self._options.mean_seconds * 1000 / tape.chunk_ms)
        first = int(self._rng.integers(len(tape.frames)))
        client = SimulatedClient(self._url, protocol, tape, first, count, behaviour)
        try:
            result = await client.run(self._rng.uniform(0.2, 0.8))
        except (HandshakeError, OSError) as error:
            self.log.errors[f"{protocol.name}: {error}"] += 1
        else:
            self.log.add(behaviour, result, now)

    def _pick_protocol(self) -> ClientProtocol:
        names = ("native", "native", "native binary", "realtime", "listen")
        return PROTOCOLS[names[int(self._rng.integers(len(names)))]]

    async def _post(self, http: httpx.AsyncClient) -> None:
        address = f"http://{urlsplit(self._url).netloc}/v1/audio/transcriptions"
        try:
            answer = await http.post(
                address, files={"file": ("test.wav", self._wav)}, data={"model": "whisper-1"}
            )
        except httpx.TransportError as error:
            self.log.errors[f"file: {error!r}"] += 1
            return
        if answer.status_code != 200 or not answer.json()["text"]:
            self.log.errors[f"file: {answer.status_code}"] += 1


def _tapes(options: argparse.Namespace, *, binary: bool) -> list[Tape]:
    return record_tapes(argparse.Namespace(**vars(options) | {"binary": binary}))


def main() -> int:
    """Run the benchmark and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.load.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser, streams=0)
    parser.set_defaults(seconds=1800.0)
    parser.add_argument("--arrivals", type=float, default=6.0, help="clients per second")
    parser.add_argument("--mean-seconds", type=float, default=15.0, help="mean length of a stream")
    parser.add_argument("--journal", action="store_true", help="set JOURNAL_DIR to a temporary folder")
    options = parser.parse_args()
    raise_file_limit()
    tapes = _tapes(options, binary=False), _tapes(options, binary=True)
    with tempfile.TemporaryDirectory() as journal:
        settings = {
            "ASR_MODEL": "free",
            "HOST": "127.0.0.1",
            "PORT": str(free_port()),
            "RESUME_SECONDS": "20",
        }
        settings |= {"JOURNAL_DIR": journal} if options.journal else {}
        shown = settings | ({"JOURNAL_DIR": "(temporary)"} if options.journal else {})
        head = {
            "machine": machine() | {"load": os.getloadavg()[0]},
            "inputs": describe(tapes[0]),
            "settings": settings_of(options),
            "environment": shown,
        }
        for title, part in head.items():
            show(title, part)
        with running_server(None, {"LOG_LEVEL": "warning"} | settings) as server:
            soak = Soak(server.url, tapes, options)
            uvloop.run(soak.run(server.pid))
    figures = evaluate(soak.log, options.seconds)
    show("figures", figures)
    print(f"\n{table(figures)}\n\n{json.dumps({'bench': 'soak', **head, **figures})}")
    return 0 if figures["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
