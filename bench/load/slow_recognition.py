"""Measure what a client experiences while recognition is slower than speech.

    python -m bench.load.slow_recognition --seconds 300 --speed 0.3

One unmodified client of `websockets` sends sentences of test.wav at the pace of speech to a simulated
recognizer, then waits for all finals. Its library closes the connection if a ping is not answered in 20 s.
"""

import argparse
import asyncio
import json
import sys
import time
import wave
from collections import Counter
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bench import ROOT
from bench.load.machine import machine
from bench.load.overload import settings_for
from bench.load.protocol_overhead import running_server

CHUNK_BYTES = 3_200
CHUNK_SECONDS = 0.1
EVENTS = "transcript.partial,server.lag,session.closed"


async def send(socket: ClientConnection, pcm: bytes, seconds: float) -> None:
    """Send audio at the pace of speech, and end the stream."""
    began = time.monotonic()
    for number in range(round(seconds / CHUNK_SECONDS)):
        await asyncio.sleep(max(0.0, began + number * CHUNK_SECONDS - time.monotonic()))
        start = number * CHUNK_BYTES % (len(pcm) - CHUNK_BYTES)
        await socket.send(pcm[start : start + CHUNK_BYTES])
    await socket.send(json.dumps({"type": "end_of_stream"}))


async def measure(url: str, pcm: bytes, seconds: float) -> dict[str, object]:
    """Run one session and return its figures."""
    began, kinds, last_partial, lag_ms, sums = time.monotonic(), Counter[str](), 0.0, 0, {}
    pongs: list[float] = []
    async with connect(f"{url}?events={EVENTS}", compression=None, proxy=None) as socket:
        sending = asyncio.create_task(send(socket, pcm, seconds))

        async def ping() -> None:
            while True:
                sent = time.monotonic()
                await (await socket.ping())
                pongs.append(time.monotonic() - sent)
                await asyncio.sleep(1)

        pinging = asyncio.create_task(ping())
        try:
            async for text in socket:
                message = json.loads(text)
                kinds[message["type"]] += 1
                if message["type"] == "transcript.partial":
                    last_partial = time.monotonic() - began
                lag_ms = max(lag_ms, message.get("lag_ms", 0))
                if message["type"] == "session.closed":
                    sums = message
        except ConnectionClosed:
            pass  # its code is in the figures
        for task in (sending, pinging):
            task.cancel()
        await asyncio.gather(sending, pinging, return_exceptions=True)
    return {
        "messages": dict(kinds),
        "close": socket.close_code,
        "sums": sums,
        "most_lag_seconds": lag_ms / 1000,
        "last_partial_seconds": round(last_partial, 1),
        "slowest_pong_ms": round(1000 * max(pongs, default=0.0), 1),
        "seconds": round(time.monotonic() - began, 1),
    }


def main() -> int:
    """Run the benchmark and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.load.slow_recognition",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=300.0, help="of audio")
    parser.add_argument(
        "--speed", type=float, default=0.3, help="of recognition, in seconds of audio per second"
    )
    parser.add_argument("--audio", type=Path, default=ROOT / "test.wav")
    options = parser.parse_args()
    with wave.open(str(options.audio)) as file:
        pcm = file.readframes(file.getnframes())
    with running_server(
        None, settings_for(1 / options.speed), ("-m", "bench.load.fixed_pace_server")
    ) as server:
        figures = asyncio.run(measure(server.url, pcm, options.seconds))
    print(json.dumps({"bench": "slow_recognition", "machine": machine(), **figures}))
    return 0 if figures["close"] == 1000 else 1


if __name__ == "__main__":
    sys.exit(main())
