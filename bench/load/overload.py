"""Measure the server under more load than its recognizer can process.

    python -m bench.load.overload --times 4

A simulated recognizer has a fixed speed, so its capacity is known. First, streams of equal length arrive at
random, several times as many as the recognizer can serve: admitted streams must receive all finals, and
others must be refused at once. Then streams in real time run alone, and beside a client that sends audio as
fast as the server takes it. The audio is sentences of test.wav.
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
from bench.load.fixed_pace_server import NAME, PACE_VARIABLE
from bench.load.load import describe, raise_file_limit, record_tapes, report, settings_of, show
from bench.load.load_generator import LoadResult, LoadStream, create_streams, run_load, settings_frame
from bench.load.machine import machine
from bench.load.message_tape import Tape
from bench.load.protocol_overhead import RunningServer, free_port, running_server

EVENTS: Final = ["transcript.partial", "session.closed"]
SAMPLING_SECONDS: Final = 0.5


@dataclass(slots=True)
class OfferedLoad:
    """Sum up the streams that were offered.

    refused_ms: times from the attempt to the refusal; max_lag: greatest lag in s that the server reported
    """

    streams: int = 0
    refused_ms: list[float] = field(default_factory=list)
    result: LoadResult = field(default_factory=LoadResult)
    max_lag: float = 0.0


async def run_stream(
    stream: LoadStream, url: str, settings: bytes, frames: int, offered: OfferedLoad
) -> None:
    """Run one stream in real time, from its handshake to its close."""
    now = asyncio.get_running_loop().time
    began = now()
    try:
        await stream.open(url, settings)
    except HandshakeError as error:
        offered.result.errors[str(error)] += 1
        offered.refused_ms.append((now() - began) * 1000)
        return
    begun = now()
    stream.begin(begun)
    for due in range(1, frames + 1):
        await asyncio.sleep(max(0.0, begun + stream.phase + due * stream.chunk - now()))
        stream.send(due, now())
    await stream.finish()


async def offer(
    tapes: Sequence[Tape], server: RunningServer, options: argparse.Namespace, per_second: float
) -> OfferedLoad:
    """Start streams at random times, on average `per_second`."""
    offered, rng = OfferedLoad(), np.random.default_rng(options.seed)
    settings = settings_frame(EVENTS, options.silence_ms)
    frames = round(options.stream_seconds * 1000 / options.chunk_ms)
    end = time.monotonic() + options.seconds
    async with monitor_lag(server, offered), asyncio.TaskGroup() as tasks:
        while time.monotonic() < end:
            (stream,) = create_streams(tapes, 1, options.stream_seconds, rng, offered.result)
            offered.streams += 1
            tasks.create_task(run_stream(stream, server.url, settings, frames, offered))
            await asyncio.sleep(rng.exponential(1 / per_second))
    return offered


@asynccontextmanager
async def monitor_lag(server: RunningServer, offered: OfferedLoad) -> AsyncIterator[None]:
    """Poll the lag of recognition from /metrics inside the block."""

    async def poll() -> None:
        while True:
            lag = gauge(await asyncio.to_thread(fetch_metrics, server.url), "stt_lag_seconds")
            offered.max_lag = max(offered.max_lag, lag)
            await asyncio.sleep(SAMPLING_SECONDS)

    polling = asyncio.create_task(poll())
    try:
        yield
    finally:
        polling.cancel()
        await asyncio.wait([polling])


def gauge(text: str | None, name: str) -> float:
    """Return the value of a metric, 0 if it is missing."""
    families = text_string_to_metric_families(text or "")
    return next((family.samples[0].value for family in families if family.name == name), 0.0)


@dataclass(slots=True)
class FloodResult:
    """Count the messages that the server took and the finals that it sent."""

    messages: int = 0
    finals: int = 0


@asynccontextmanager
async def flooding(tape: Tape, url: str) -> AsyncIterator[FloodResult]:
    """Send audio over one stream as fast as the server takes it inside the block."""
    result = FloodResult()

    def on_text(text: bytes, arrival: float) -> None:
        result.finals += b'"response.audio_transcript.done"' in text

    socket = await open_socket(url, on_text)

    async def send() -> None:
        while not socket.closed.done():
            while socket.is_writable:
                socket.write(tape.frames[result.messages % len(tape.frames)])
                result.messages += 1
            await asyncio.sleep(0.001)

    task = asyncio.create_task(send())
    try:
        yield result
    finally:
        await end(task, socket)


async def end(task: "asyncio.Task[None]", socket: LoadSocket) -> None:
    """Cancel the sending task and drop the connection."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    socket.abort()


async def measure_overload(
    tapes: Sequence[Tape], server: RunningServer, options: argparse.Namespace
) -> dict[str, Any]:
    """Offer several times the capacity, and return the figures of admitted and refused streams."""
    capacity = capacity_of(tapes, options.pace)
    per_second = options.times * capacity / options.stream_seconds
    offered = await offer(tapes, server, options, per_second)
    score = report(offered.result, options.silence_ms, options.stream_seconds)
    return {
        "capacity_streams": round(capacity, 1),
        "offered_per_second": round(per_second, 2),
        "offered": offered.streams,
        "refused": len(offered.refused_ms),
        "refused_ms": summary(offered.refused_ms),
        "most_lag_seconds": round(offered.max_lag, 2),
        **score,
    }


async def measure_fairness(
    tapes: Sequence[Tape], server: RunningServer, options: argparse.Namespace
) -> dict[str, Any]:
    """Run the same streams alone and beside one that floods the server, in turn."""
    settings = settings_frame(EVENTS, options.silence_ms)
    streams = max(1, round(options.share * capacity_of(tapes, options.fair_pace)))
    alone, beside, messages = LoadResult(), LoadResult(), 0

    async def run(into: LoadResult, seed: int) -> None:
        result = await run_load(
            tapes, server.url, streams=streams, seconds=options.fair_seconds, settings=settings, seed=seed
        )
        into.score.add(result.score)
        into.errors.update(result.errors)

    for turn in range(options.turns):
        await run(alone, options.seed + turn)
        async with flooding(tapes[0], server.url) as flood:
            await run(beside, options.seed + turn)
        messages += flood.messages
    figures = [
        report(result, options.silence_ms, options.fair_seconds)["final_ms"] for result in (alone, beside)
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
    """Return how many streams fully occupy the recognizer with their finals alone."""
    share = sum(tape.speech_share for tape in tapes) / len(tapes)
    return 1 / (pace * share)


def settings_for(pace: float) -> dict[str, str]:
    """Return the environment of a server whose recognizer has this pace."""
    return {
        "ASR_MODEL": NAME,
        "ASR_WORKER": "thread",
        PACE_VARIABLE: str(pace),
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
    }


def arguments(command: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.load.overload",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--times", type=float, default=4.0, help="offered load over capacity")
    parser.add_argument("--pace", type=float, default=0.1, help="seconds of recognition per second of audio")
    parser.add_argument("--seconds", type=float, default=60.0, help="during which streams arrive")
    parser.add_argument("--stream-seconds", type=float, default=20.0)
    parser.add_argument("--fair-pace", type=float, default=0.02, help="the same, for the second part")
    parser.add_argument(
        "--share", type=float, default=0.5, help="share of the capacity that the streams in real time take"
    )
    parser.add_argument("--fair-seconds", type=float, default=20.0)
    parser.add_argument("--turns", type=int, default=2, help="repetitions of the second part")
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
    """Run the benchmark and return the exit status."""
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
