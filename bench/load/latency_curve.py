"""Measure the latency of finals against the number of streams.

    python -m bench.load.latency_curve MODEL --seconds 40

A server with the model is started. For each number of streams in turn, speech is sent in real time (see
bench.load.load). Server and load share the cores of the machine. A number of streams is "held" if the p95 of
finals is at most one second beyond the silence that ends an utterance, nothing is lost and nothing fails. The
curve ends with the first number that is not held. Other settings of the server come from the environment.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any, Final

import uvloop

from bench.load.load import (
    add_arguments,
    describe,
    measure,
    raise_file_limit,
    record_tapes,
    settings_of,
    show,
)
from bench.load.machine import machine
from bench.load.message_tape import Tape
from bench.load.protocol_overhead import free_port, running_server

MAX_P95_MS: Final = 1_000  # beyond the silence
PAUSE_SECONDS: Final = 3.0  # between two loads, so that the server finishes the work of the first


def meets_limits(figures: dict[str, Any]) -> bool:
    """Return whether the server held this number of streams."""
    p95 = figures["beyond_silence_ms"].get("p95")
    faults = figures["lost"] or figures["errors"] or set(figures["closes"]) - {"1000"}
    return p95 is not None and p95 <= MAX_P95_MS and not faults


async def measure_curve(
    tapes: Sequence[Tape], url: str, pid: int, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Measure increasing numbers of streams, and print a row for each."""
    rows: list[dict[str, Any]] = []
    for streams in options.numbers:
        options.streams = streams
        figures = await measure(tapes, url, options, pid)
        rows.append({"streams": streams, "held": meets_limits(figures), **figures})
        print(line(rows[-1]), flush=True)
        if not rows[-1]["held"]:
            break
        await asyncio.sleep(PAUSE_SECONDS)
    return rows


def line(row: dict[str, Any]) -> str:
    """Return a row of the table in Markdown."""
    final, beyond = row["final_ms"], row["beyond_silence_ms"]
    partial, after_word = row["partial_ms"], row["partial_after_word_ms"]
    cells = [
        row["streams"],
        " / ".join(str(final.get(p)) for p in ("p50", "p95", "p99")),
        *(latencies.get("p95") for latencies in (beyond, partial, after_word)),
        row["utterances"],
        row["lost"],
        "yes" if row["held"] else "no",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def main() -> int:
    """Run the benchmark and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.load.latency_curve",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="a value of ASR_MODEL")
    parser.add_argument("--numbers", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64], help="of streams")
    add_arguments(parser, streams=1)
    options = parser.parse_args()
    raise_file_limit()
    tapes = record_tapes(options)
    environment = {"ASR_MODEL": options.model, "HOST": "127.0.0.1", "PORT": str(free_port())}
    head = {"machine": machine(), "inputs": describe(tapes), "settings": settings_of(options)}
    for title, part in head.items():
        show(title, part)
    print(
        "\n| streams | final p50 / p95 / p99, ms | p95 beyond silence | partial p95 after the first sound "
        "| after the first word | finals | lost | held |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with running_server(None, environment) as server:
        rows = uvloop.run(measure_curve(tapes, server.url, server.pid, options))
    print(json.dumps({"bench": "curve", "model": options.model, **head, "rows": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
