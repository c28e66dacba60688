"""Measure how many streams a WhisperLive server holds, with the speech of bench.load.latency_curve.

    python -m bench.load.whisper_live MODEL PYTHON --audio FOLDER --numbers 1 2 4

MODEL is a folder in CTranslate2's format, PYTHON an interpreter that has whisper_live. The server batches
across its clients, with voice detection. Its messages have segments but no utterances, so two latencies count
from the true end of each utterance: until a segment that reaches this end has a text ("shown"), and until
such a segment is complete ("final"). Both are lenient: the text may still be wrong, or lack its last word. A
number of streams is held if the p95 of "shown" is at most MAX_P95_MS, and each whole utterance was shown.
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import uvloop
from websockets.asyncio.client import ClientConnection, connect

from bench.accuracy.scoring import summary
from bench.load.load import add_arguments, describe, record_tapes, settings_of, show
from bench.load.machine import machine
from bench.load.message_tape import Label, Tape, samples_of
from bench.load.protocol_overhead import free_port, stop

MAX_P95_MS: Final = 1_500
TOLERANCE_MS: Final = 250  # A segment that ends so much before the utterance still reaches its end.
READY_SECONDS: Final = 60.0
DRAIN_SECONDS: Final = 10.0  # how long the last segments are awaited
END_OF_AUDIO: Final = b"END_OF_AUDIO"
# Clients are not limited in number or rate: the load alone decides.
PROGRAM: Final = """
import sys
from whisper_live.server import TranscriptionServer
model, port = sys.argv[1], int(sys.argv[2])
TranscriptionServer().run(
    "127.0.0.1", port=port, backend="faster_whisper", faster_whisper_custom_model_path=model,
    single_model=True, max_clients=1000, batch_enabled=True, batch_max_admissions_per_s=1000,
    batch_max_queue_wait_s=1000,
)
"""


@dataclass(slots=True)
class Shown:
    """Collect when the ends of the utterances of one stream were shown.

    labels: the whole utterances; shown_ms, final_ms: arrival by the number of the label, in ms of the stream
    """

    labels: Sequence[Label]
    shown_ms: dict[int, float] = field(default_factory=dict)
    final_ms: dict[int, float] = field(default_factory=dict)

    def receive(self, segments: Sequence[dict[str, Any]], arrival_ms: float) -> None:
        """Note the segments of one message, whose times are in seconds."""
        for segment in segments:
            start_ms, end_ms = float(segment["start"]) * 1000, float(segment["end"]) * 1000
            if not segment["text"].strip():
                continue
            for number, label in enumerate(self.labels):
                if start_ms < label.end_ms <= min(end_ms + TOLERANCE_MS, arrival_ms):
                    self.shown_ms.setdefault(number, arrival_ms)
                    if segment["completed"]:
                        self.final_ms.setdefault(number, arrival_ms)

    def latencies(self, arrivals: dict[int, float]) -> list[float]:
        """Return the latencies in ms from the ends of the utterances."""
        return [arrival - self.labels[number].end_ms for number, arrival in arrivals.items()]


async def stream(url: str, tape: Tape, first: int, count: int) -> Shown:
    """Send `count` frames of a tape from frame `first` on in real time, and collect what is shown."""
    shown = Shown([label for label, whole in tape.utterances(first, count) if whole])
    async with connect(url, max_size=None, ping_interval=None, compression=None) as socket:
        hello = {
            "uid": str(uuid.uuid4()),
            "language": "en",
            "task": "transcribe",
            "model": "",
            "use_vad": True,
        }
        await socket.send(json.dumps(hello))
        while json.loads(await socket.recv()).get("message") != "SERVER_READY":
            pass
        began = asyncio.get_running_loop().time()
        receiver = asyncio.create_task(_receive(socket, shown, began))
        for number in range(count):
            due = began + (number + 1) * tape.chunk_ms / 1000
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            await socket.send(samples_of(tape.frames[(first + number) % len(tape.frames)]).tobytes())
        await asyncio.wait([receiver], timeout=DRAIN_SECONDS)
        await socket.send(END_OF_AUDIO)
        receiver.cancel()
    return shown


async def _receive(socket: ClientConnection, shown: Shown, began: float) -> None:
    async for message in socket:
        arrival_ms = (asyncio.get_running_loop().time() - began) * 1000
        shown.receive(json.loads(message).get("segments", ()), arrival_ms)


async def measure(
    url: str, tapes: Sequence[Tape], streams: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Run so many streams at once and return their figures."""
    rng = np.random.default_rng(options.seed)
    count = round(options.seconds * 1000 / options.chunk_ms)
    results = await asyncio.gather(
        *(
            stream(url, tape, int(rng.integers(len(tape.frames))), count)
            for tape in (tapes[number % len(tapes)] for number in range(streams))
        )
    )
    shown = summary([each for result in results for each in result.latencies(result.shown_ms)])
    final = summary([each for result in results for each in result.latencies(result.final_ms)])
    total = sum(len(result.labels) for result in results)
    lost = total - sum(len(result.shown_ms) for result in results)
    p95 = shown["p95"]
    is_held = p95 is not None and p95 <= MAX_P95_MS and not lost
    return {
        "streams": streams,
        "utterances": total,
        "lost": lost,
        "shown_ms": shown,
        "final_ms": final,
        "held": is_held,
    }


def line(row: dict[str, Any]) -> str:
    """Return a row of the table in Markdown."""
    times = [f"{row[name]['p50']} / {row[name]['p95']}" for name in ("shown_ms", "final_ms")]
    cells = [row["streams"], *times, row["utterances"], row["lost"], "yes" if row["held"] else "no"]
    return f"| {' | '.join(map(str, cells))} |"


@contextmanager
def running_server(python: str, model: Path) -> Iterator[str]:
    """Start WhisperLive and yield its address.

    Raises SystemExit with its log if it does not listen in time.
    """
    port = free_port()
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen([python, "-c", PROGRAM, str(model), str(port)], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + READY_SECONDS
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise SystemExit(f"WhisperLive did not start:\n{log.read()[-4000:]}")
                time.sleep(0.1)
            yield f"ws://127.0.0.1:{port}"
        finally:
            stop(process)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main() -> int:
    """Run the benchmark and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.load.whisper_live",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, help="a folder with a model in CTranslate2's format")
    parser.add_argument("python", help="an interpreter that has whisper_live")
    parser.add_argument("--numbers", type=int, nargs="+", default=[1, 2, 4, 8], help="of streams")
    add_arguments(parser, streams=1)
    options = parser.parse_args()
    options.binary = True
    tapes = record_tapes(options)
    head = {"machine": machine(), "inputs": describe(tapes), "settings": settings_of(options)}
    for title, part in head.items():
        show(title, part)
    print("\n| streams | shown p50 / p95, ms | final p50 / p95, ms | utterances | never shown | held |")
    print("|---|---|---|---|---|---|")
    rows: list[dict[str, Any]] = []
    with running_server(options.python, options.model) as url:
        for number in options.numbers:
            rows.append(uvloop.run(measure(url, tapes, number, options)))
            print(line(rows[-1]), flush=True)
            if not rows[-1]["held"]:
                break
    load = [round(each, 1) for each in os.getloadavg()]
    print(json.dumps({"bench": "whisper_live", **head, "rows": rows, "load_after": load}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
