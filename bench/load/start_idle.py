"""Measure how long a server takes to start, what it uses without clients, and how long a file takes.

    python -m bench.load.start_idle --model whisper-tiny.en --runs 5 --idle-seconds 60

CPU times are those of all processes and depend little on what else runs on the machine. The figures of the
start and of the file are the least of all runs.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench import ROOT
from bench.load.machine import machine
from bench.load.process_monitor import usage_of
from bench.load.protocol_overhead import free_port, running_server

SETTLING_SECONDS: Final = 3.0  # between the start and the idle time


@dataclass(frozen=True, slots=True)
class Cost:
    """Hold what an action took, in seconds."""

    wall: float
    cpu: float


def start_and_idle(model: str, idle_seconds: float) -> tuple[Cost, float]:
    """Start a server; return what it took until /ready, and then its share of one core without clients."""
    settings = {"HOST": "127.0.0.1", "PORT": str(free_port()), "ASR_MODEL": model}
    with running_server(None, settings) as server:
        start = Cost(server.ready_seconds, usage_of(server.pid).cpu)
        if not idle_seconds:
            return start, 0.0
        time.sleep(SETTLING_SECONDS)
        before, began = usage_of(server.pid).cpu, time.monotonic()
        time.sleep(idle_seconds)
        return start, (usage_of(server.pid).cpu - before) / (time.monotonic() - began)


def transcribe(model: str, file: Path) -> Cost:
    """Transcribe a file with ./entrypoint.sh. Raises subprocess.CalledProcessError."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = ["./entrypoint.sh", "transcribe", "--model", model, str(file.resolve())]
    subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "STT_PYTHON": sys.executable},
        stdout=subprocess.PIPE,
        check=True,
    )
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def report(starts: Sequence[Cost], idle_share: float, files: Sequence[Cost]) -> dict[str, Any]:
    """Return the figures: the least of all runs, and the idle server's share of one core in percent."""
    return {
        "start_s": round(min(cost.wall for cost in starts), 2),
        "start_cpu_s": round(min(cost.cpu for cost in starts), 2),
        "idle_percent": round(100 * idle_share, 3),
        "file_s": round(min(cost.wall for cost in files), 2),
        "file_cpu_s": round(min(cost.cpu for cost in files), 2),
    }


def main() -> int:
    """Measure and print the figures; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="whisper-tiny.en")
    parser.add_argument("--file", type=Path, default=ROOT / "test.wav")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--idle-seconds", type=float, default=60.0)
    args = parser.parse_args()
    print(json.dumps(machine() | {"model": args.model, "load": os.getloadavg()[0]}))
    idle_start, idle_share = start_and_idle(args.model, args.idle_seconds)
    starts = [idle_start, *(start_and_idle(args.model, 0)[0] for _ in range(args.runs - 1))]
    files = [transcribe(args.model, args.file) for _ in range(args.runs)]
    print(json.dumps(report(starts, idle_share, files)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
