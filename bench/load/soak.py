"""Measure whether memory grows or anything slows down while sessions come and go: python -m bench.load.soak.

Clients arrive by chance, at all doors, and behave as clients do: most talk to the end in real time, some are
cut off and come back, some leave without a word, some read slowly, some say nothing; now and then one posts
a file. The server has a recognizer that is free. Settings of the server come from the environment, but for
those printed. 1 if an aim is missed.
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
from bench.load.simulated_client import DOORS, Manner, SimulatedClient, Visit

SAMPLE_SECONDS: Final = 1.0  # between two looks at memory
WINDOW_SECONDS: Final = 300.0
WARM_SECONDS: Final = 120.0
MOST_GROWTH: Final = 0.02
MOST_SLOWER: Final = 0.10
MANNERS: Final = {
    Manner.STEADY: 12,
    Manner.RETURNS: 3,
    Manner.LEAVES: 2,
    Manner.SLOW: 1,
    Manner.SILENT: 1,
    Manner.FILE: 1,
}


@dataclass(slots=True)
class Diary:
    """What was seen, by seconds since the beginning. finals: (when, latency in ms); memory: (when, bytes)."""

    finals: list[tuple[float, float]] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)
    visits: Counter[str] = field(default_factory=Counter)
    connects: int = 0
    utterances: int = 0
    lost: int = 0
    doubled: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, manner: Manner, visit: Visit, began: float) -> None:
        self.connects += visit.connects
        self.errors += visit.errors
        if visit.score is None:
            return
        self.utterances += visit.score.utterances
        self.lost += visit.score.lost
        self.doubled += visit.score.doubled
        if manner is Manner.STEADY:  # of others the latency is their own
            self.finals += [(began + end_ms / 1000, latency) for end_ms, latency in visit.score.finals]


def within(rows: Sequence[tuple[float, float]], start: float, end: float) -> list[float]:
    return [value for at, value in rows if start <= at < end]


def growth_per_hour(rows: Sequence[tuple[float, float]]) -> float:
    """The slope of a line through them, as a share of their mean."""
    at, value = np.array(rows, np.float64).T
    return float(np.polyfit(at, value, 1)[0] * 3600 / value.mean())


def by_minute(rows: Sequence[tuple[float, float]]) -> list[int]:
    """MB, the median of each minute."""
    minutes = range(int(rows[-1][0] // 60) + 1)
    return [round((percentile(within(rows, 60 * m, 60 * m + 60), 50) or 0.0) / 2**20) for m in minutes]


def verdict(diary: Diary, seconds: float) -> dict[str, Any]:
    """The first window after the warm-up against the last one. slower, grown: shares."""
    warm = min(WARM_SECONDS, seconds / 4)
    window = min(WINDOW_SECONDS, (seconds - warm) / 2)
    spans = ((warm, warm + window), (seconds - window, seconds))
    first, last = ([percentile(within(diary.finals, *span), q) for q in (50, 95, 99)] for span in spans)
    before, after = (percentile(within(diary.memory, *span), 50) or 0.0 for span in spans)
    slower = (last[1] or 0.0) / (first[1] or 1.0) - 1
    grown = after / before - 1
    figures = {
        "seconds": round(seconds),
        "window_seconds": round(window),
        "connects": diary.connects,
        "visits": dict(sorted(diary.visits.items())),
        "utterances": diary.utterances,
        "lost": diary.lost,
        "doubled": diary.doubled,
        "errors": dict(diary.errors),
        "final_ms_first": [value and round(value, 1) for value in first],
        "final_ms_last": [value and round(value, 1) for value in last],
        "slower_%": round(100 * slower, 1),
        "rss_mb_first": round(before / 2**20, 1),
        "rss_mb_last": round(after / 2**20, 1),
        "grown_%": round(100 * grown, 2),
        "rss_mb_by_minute": by_minute(diary.memory),
        "slope_%_an_hour": round(100 * growth_per_hour([row for row in diary.memory if row[0] >= warm]), 2),
    }
    clean = not (diary.errors or diary.lost or diary.doubled)
    return figures | {"held": clean and slower <= MOST_SLOWER and abs(grown) <= MOST_GROWTH}


def table(figures: dict[str, Any]) -> str:
    """For bench/results.md."""
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
    """tapes: what is said, as JSON and as binary frames."""

    def __init__(
        self,
        url: str,
        tapes: tuple[Sequence[Tape], Sequence[Tape]],
        options: argparse.Namespace,
    ) -> None:
        self.diary = Diary()
        self._url = url
        self._tapes = dict(zip((False, True), tapes, strict=True))
        self._options = options
        self._rng = np.random.default_rng(options.seed)
        self._wav = (ROOT / "test.wav").read_bytes()

    async def run(self, pid: int) -> None:
        """Until no more come, and those who came have gone."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        watching = asyncio.create_task(self._watch(pid, began))
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http, asyncio.TaskGroup() as visits:
            while (now := loop.time() - began) < self._options.seconds:
                visits.create_task(self._visit(http, now))
                await asyncio.sleep(float(self._rng.exponential(1 / self._options.arrivals)))
        watching.cancel()

    async def _watch(self, pid: int, began: float) -> None:
        while True:
            now = asyncio.get_running_loop().time() - began
            self.diary.memory.append((now, usage_of(pid).rss))
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _visit(self, http: httpx.AsyncClient, now: float) -> None:
        weights = np.array(list(MANNERS.values()))
        manner = list(MANNERS)[self._rng.choice(len(weights), p=weights / weights.sum())]
        if manner is Manner.FILE:
            self.diary.visits["file"] += 1
            self.diary.connects += 1
            await self._post(http)
            return
        door = DOORS["native"] if manner is Manner.RETURNS else self._pick_door()
        self.diary.visits[f"{door.name} {manner}"] += 1
        tapes = self._tapes[door.binary]
        tape = tapes[int(self._rng.integers(len(tapes)))]
        count = round(self._rng.uniform(0.5, 1.5) * self._options.mean_seconds * 1000 / tape.chunk_ms)
        visitor = SimulatedClient(
            self._url, door, tape, int(self._rng.integers(len(tape.frames))), count, manner
        )
        try:
            visit = await visitor.run(self._rng.uniform(0.2, 0.8))
        except (HandshakeError, OSError) as error:
            self.diary.errors[f"{door.name}: {error}"] += 1
        else:
            self.diary.add(manner, visit, now)

    def _pick_door(self) -> Any:
        names = ("native", "native", "native binary", "realtime", "listen")
        return DOORS[names[int(self._rng.integers(len(names)))]]

    async def _post(self, http: httpx.AsyncClient) -> None:
        address = f"http://{urlsplit(self._url).netloc}/v1/audio/transcriptions"
        try:
            answer = await http.post(
                address, files={"file": ("test.wav", self._wav)}, data={"model": "whisper-1"}
            )
        except httpx.TransportError as error:
            self.diary.errors[f"file: {error!r}"] += 1
            return
        if answer.status_code != 200 or not answer.json()["text"]:
            self.diary.errors[f"file: {answer.status_code}"] += 1


def _tapes(options: argparse.Namespace, *, binary: bool) -> list[Tape]:
    return record_tapes(argparse.Namespace(**vars(options) | {"binary": binary}))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.load.soak", description=__doc__)
    add_arguments(parser, streams=0)
    parser.set_defaults(seconds=1800.0)
    parser.add_argument("--arrivals", type=float, default=6.0, help="clients that come in a second")
    parser.add_argument("--mean-seconds", type=float, default=15.0, help="that one stays")
    parser.add_argument("--journal", action="store_true", help="with JOURNAL_DIR in a temporary folder")
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
    figures = verdict(soak.diary, options.seconds)
    show("figures", figures)
    print(f"\n{table(figures)}\n\n{json.dumps({'bench': 'soak', **head, **figures})}")
    return 0 if figures["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
