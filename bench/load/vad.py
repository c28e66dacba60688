"""Measure the cost of voice detection per stream and hop of 32 ms, against the number of streams.

    python -m bench.load.vad [--streams 1 8 …] [--device cpu] [--runs 7]

The same runs include the official Python loop, which calls the package's network for each hop of one stream.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as main.py sets it

import numpy as np
import torch
from silero_vad import load_silero_vad  # type: ignore[import-untyped]

from asr.devices import processor_name
from audio.clip import HOP, SAMPLE_RATE
from vad.detector import Detector
from vad.detector_input import DetectorInput

STREAM_COUNTS = [1, 8, 32, 64, 128, 256, 512, 1024]
MIN_SECONDS = 0.15  # of one measurement

Tick = Callable[[], object]


def detector_tick(detector: Detector, streams: int, hops: int) -> Tick:
    """Return a step of the detector in which every stream has `hops` hops of noise."""
    noise = np.random.default_rng(0).normal(0, 0.05, (streams, hops, HOP)).astype(np.float32)
    work = [DetectorInput(detector.open(), samples) for samples in noise]
    return lambda: detector.step(work)


def official_tick() -> Tick:
    """Return a call of the package's network with one hop of noise."""
    model = load_silero_vad()
    hop = torch.from_numpy(np.random.default_rng(0).normal(0, 0.05, HOP).astype(np.float32))

    def tick() -> None:
        with torch.no_grad():
            model(hop, SAMPLE_RATE).item()

    return tick


class VadCost(NamedTuple):
    """Hold the cost of one call.

    busy: CPU time of this thread, much less than elapsed time if other work runs on the machine
    """

    elapsed: float
    busy: float


def cost_per_call(tick: Tick) -> VadCost:
    """Return the mean cost in seconds over at least MIN_SECONDS."""
    calls, start, start_busy = 0, time.perf_counter(), time.thread_time()
    while time.perf_counter() - start < MIN_SECONDS:
        tick()
        calls += 1
    return VadCost((time.perf_counter() - start) / calls, (time.thread_time() - start_busy) / calls)


def measure(ticks: dict[str, tuple[Tick, int]], runs: int) -> dict[str, list[VadCost]]:
    """Return the costs in µs per stream and hop, by name and run.

    Each run measures all ticks, so that other work on the machine affects all of them alike.
    """
    for tick, _ in ticks.values():
        for _ in range(10):
            tick()
    costs: dict[str, list[VadCost]] = {name: [] for name in ticks}
    for _ in range(runs):
        for name, (tick, hops) in ticks.items():
            elapsed, busy = cost_per_call(tick)
            costs[name].append(VadCost(1e6 * elapsed / hops, 1e6 * busy / hops))
    return costs


def settings(detector: Detector, runs: int) -> dict[str, object]:
    """Describe the machine and the settings for the output."""
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "load": [round(load, 1) for load in os.getloadavg()],
        "python": platform.python_version(),
        "torch": torch.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "device": detector.device,
        "runs": runs,
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.load.vad",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--streams", type=int, nargs="+", default=STREAM_COUNTS)
    parser.add_argument("--hops", type=int, default=1, help="hops of each stream in a step")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, default=7)
    args = parser.parse_args()

    detector = Detector.load(args.device, max_slots=sum(args.streams))
    ticks = {"official loop": (official_tick(), 1)}
    for streams in args.streams:
        ticks[str(streams)] = detector_tick(detector, streams, args.hops), streams * args.hops
    torch.set_num_threads(1)

    about = settings(detector, args.runs)
    for name, value in about.items():
        print(f"{name:>12}: {value}")
    costs = measure(ticks, args.runs)
    medians = {
        name: VadCost(*map(statistics.median, zip(*values, strict=True))) for name, values in costs.items()
    }
    print("\nµs per stream and hop: median of the runs, with the least and the greatest elapsed time")
    print(f"{'streams':>14} {'elapsed':>8} {'least':>8} {'most':>8} {'busy':>8}")
    for name, median in medians.items():
        elapsed = [cost.elapsed for cost in costs[name]]
        print(f"{name:>14} {median.elapsed:8.2f} {min(elapsed):8.2f} {max(elapsed):8.2f} {median.busy:8.2f}")
    table = {
        name: {key: round(us, 2) for key, us in cost._asdict().items()} for name, cost in medians.items()
    }
    print(
        json.dumps({"bench": "vad", **about, "load_after": round(os.getloadavg()[0], 1), "us_per_hop": table})
    )


if __name__ == "__main__":
    main()
