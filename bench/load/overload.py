"""Offer more load than a recognizer can take: python -m bench.load.overload.

The recognizer has a made-up pace, so that its capacity is known. First streams come at random, each as long
as the others, so many times as fast as they could be served: who is let in must hear all finals, who is not
must hear so at once. Then paced streams run alone, and beside one that pushes sound as fast as the server
takes it. Sentences of test.wav.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import uvloop
from prometheus_client.parser import text_string_to_metric_families

from bench import ROOT
from bench.accuracy.scoring import summary
from bench.load.event_loop_lag import fetch_metrics
from bench.load.fast_ws_client import HandshakeError, LoadSocket, open_socket
from bench.load.fixed_pace_server import NAME, PACE
from bench.load.load import describe, raise_file_limit, record_tapes, report, settings_of, show
from bench.load.load_generator import Findings, LoadStream, cast, run_load, settings_frame
from bench.load.machine import machine
from bench.load.message_tape import Tape
from bench.load.protocol_overhead import Server, free_port, running_server

EVENTS: Final = ["transcript.partial", "session.closed"]
LOOK_SECONDS: Final = 0.5


@dataclass(slots=True)
class Offered:
    """refused_ms: from the attempt to the answer; most_lag: seconds, as the server says"""

    streams: int = 0
    refused_ms: list[float] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)
    most_lag: float = 0.0


async def converse(stream: LoadStream, url: str, settings: bytes, frames: int, offered: Offered) -> None:
    """One stream from its handshake to its close, in real time."""
    now = asyncio.get_running_loop().time
    began = now()
    try:
        await stream.open(url, settings)
    except HandshakeError as error:
        offered.findings.errors[str(error)] += 1
        offered.refused_ms.append((now() - began) * 1000)
        return
    begun = now()
    stream.begin(begun)
    for due in range(1, frames + 1):
        await asyncio.sleep(max(0.0, begun + stream.phase + due * stream.chunk - now()))
        stream.send(due, now())
    await stream.finish()


async def offer(
    tapes: Sequence[Tape], server: Server, options: argparse.Namespace, per_second: float
) -> Offered:
    """Streams that come at random times, on average so many in a second."""
    offered, rng = Offered(), np.random.default_rng(options.seed)
    settings = settings_frame(EVENTS, options.silence_ms)
    frames = round(options.stream_seconds * 1000 / options.chunk_ms)
    end = time.monotonic() + options.seconds
    async with watched(server, offered), asyncio.TaskGroup() as tasks:
        while time.monotonic() < end:
            (stream,) = cast(tapes, 1, options.stream_seconds, rng, offered.findings)
            offered.streams += 1
            tasks.create_task(converse(stream, server.url, settings, frames, offered))
            await asyncio.sleep(rng.exponential(1 / per_second))
    return offered


@asynccontextmanager
async def watched(server: Server, offered: Offered) -> AsyncIterator[None]:
    """Meanwhile asks the server again and again how far recognition is behind."""

    async def look() -> None:
        while True:
            lag = gauge(await asyncio.to_thread(fetch_metrics, server.url), "stt_lag_seconds")
            offered.most_lag = max(offered.most_lag, lag)
            await asyncio.sleep(LOOK_SECONDS)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.wait([looking])


def gauge(text: str | None, name: str) -> float:
    families = text_string_to_metric_families(text or "")
    return next((family.samples[0].value for family in families if family.name == name), 0.0)


@dataclass(slots=True)
class Pushed:
    """messages: that the server has taken; finals: that came back"""

    messages: int = 0
    finals: int = 0


@asynccontextmanager
async def pushing(tape: Tape, url: str) -> AsyncIterator[Pushed]:
    """Meanwhile one stream pushes sound as fast as the server takes it."""
    pushed = Pushed()

    def on_text(text: bytes, arrival: float) -> None:
        pushed.finals += b'"response.audio_transcript.done"' in text

    socket = await open_socket(url, on_text)

    async def push() -> None:
        while not socket.closed.done():
            while socket.is_writable:
                socket.write(tape.frames[pushed.messages % len(tape.frames)])
                pushed.messages += 1
            await asyncio.sleep(0.001)

    task = asyncio.create_task(push())
    try:
        yield pushed
    finally:
        await end(task, socket)


async def end(task: "asyncio.Task[None]", socket: LoadSocket) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    socket.abort()


async def measure_overload(
    tapes: Sequence[Tape], server: Server, options: argparse.Namespace
) -> dict[str, Any]:
    capacity = capacity_of(tapes, options.pace)
    per_second = options.times * capacity / options.stream_seconds
    offered = await offer(tapes, server, options, per_second)
    score = report(offered.findings, options.silence_ms, options.stream_seconds)
    return {
        "capacity_streams": round(capacity, 1),
        "offered_per_second": round(per_second, 2),
        "offered": offered.streams,
        "refused": len(offered.refused_ms),
        "refused_ms": summary(offered.refused_ms),
        "most_lag_seconds": round(offered.most_lag, 2),
        **score,
    }


async def measure_fairness(
    tapes: Sequence[Tape], server: Server, options: argparse.Namespace
) -> dict[str, Any]:
    """The same streams without and with one that pushes, in turn."""
    settings = settings_frame(EVENTS, options.silence_ms)
    streams = max(1, round(options.share * capacity_of(tapes, options.fair_pace)))
    alone, beside, messages = Findings(), Findings(), 0

    async def run(into: Findings, seed: int) -> None:
        found = await run_load(
            tapes, server.url, streams=streams, seconds=options.fair_seconds, settings=settings, seed=seed
        )
        into.score.add(found.score)
        into.errors.update(found.errors)

    for turn in range(options.turns):
        await run(alone, options.seed + turn)
        async with pushing(tapes[0], server.url) as pushed:
            await run(beside, options.seed + turn)
        messages += pushed.messages
    figures = [
        report(found, options.silence_ms, options.fair_seconds)["final_ms"] for found in (alone, beside)
    ]
    return {
        "streams": streams,
        "alone_ms": figures[0],
        "beside_ms": figures[1],
        "p95_ratio": round(figures[1]["p95"] / figures[0]["p95"], 3),
        "lost": [alone.score.lost, beside.score.lost],
        "errors": dict(alone.errors + beside.errors),
        "pushed_times_real_time": round(
            messages * options.chunk_ms / 1000 / (options.turns * options.fair_seconds), 1
        ),
    }


def capacity_of(tapes: Sequence[Tape], pace: float) -> float:
    """Streams whose finals alone keep the recognizer busy."""
    share = sum(tape.speech_share for tape in tapes) / len(tapes)
    return 1 / (pace * share)


def settings_for(pace: float) -> dict[str, str]:
    return {
        "ASR_MODEL": NAME,
        "ASR_PLACE": "thread",
        PACE: str(pace),
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
    }


def arguments(command: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.load.overload", description=__doc__)
    parser.add_argument("--times", type=float, default=4.0, help="offered load over capacity")
    parser.add_argument("--pace", type=float, default=0.1, help="seconds of recognition a second of sound")
    parser.add_argument("--seconds", type=float, default=60.0, help="in which streams come")
    parser.add_argument("--stream-seconds", type=float, default=20.0)
    parser.add_argument("--fair-pace", type=float, default=0.02)
    parser.add_argument("--share", type=float, default=0.5, help="of capacity that the paced streams take")
    parser.add_argument("--fair-seconds", type=float, default=20.0)
    parser.add_argument("--turns", type=int, default=2, help="each without and with the one that pushes")
    parser.add_argument("--silence-ms", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most-files", type=int, default=60)
    parser.add_argument("--audio", type=Path, default=ROOT / "test.wav")
    fixed: Mapping[str, Any] = {
        "rate": 16_000,
        "chunk_ms": 100,
        "binary": True,
        "tapes": 4,
        "tape_seconds": 60.0,
        "gap_ms": (800.0, 2000.0),
    }
    parser.set_defaults(**fixed)
    return parser.parse_args(command)


def main() -> int:
    options = arguments()
    raise_file_limit()
    tapes = record_tapes(options)
    head = {"machine": machine(), "inputs": describe(tapes), "settings": settings_of(options)}
    for title, part in head.items():
        show(title, part)
    figures = {}
    for name, pace, measure in (
        ("overload", options.pace, measure_overload),
        ("fairness", options.fair_pace, measure_fairness),
    ):
        with running_server(None, settings_for(pace), ("-m", "bench.load.fixed_pace_server")) as server:
            figures[name] = uvloop.run(measure(tapes, server, options))
        show(name, figures[name])
    print(json.dumps({"bench": "overload", **head, **figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
