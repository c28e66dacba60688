"""Measure the latency of a server under streams of speech in real time.

    python -m bench.load.load --url ws://localhost:5001/ws/stt --streams 10 --seconds 30

The server may be any that implements docs/protocol.md. Every stream plays utterances with known times, joined
with random gaps, from a random position. A latency counts from the moment at which a microphone would have
recorded the sample in question, so it includes the wait until the chunk is full.
"""

import argparse
import gc
import json
import os
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import uvloop

from audio.clip import SAMPLE_RATE, Clip, ms_from_samples
from bench import ROOT
from bench.accuracy.audio_io import Samples, utterances_from
from bench.accuracy.corpus import MANIFEST, read_manifest
from bench.accuracy.scoring import summary
from bench.accuracy.word_timestamps import Aligner, spoken
from bench.load.load_generator import LoadResult, run_load, settings_frame
from bench.load.machine import machine
from bench.load.message_tape import Tape, record_tape
from bench.load.process_monitor import ProcessMonitor

EVENTS: Final = "transcript.partial,session.closed"
MINUTE_MS: Final = 60_000


def add_arguments(parser: argparse.ArgumentParser, streams: int) -> None:
    """Add the arguments that the load benchmarks share."""
    parser.add_argument("--streams", type=int, default=streams)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each stream")
    parser.add_argument(
        "--audio", type=Path, default=ROOT / "test.wav", help="a folder of utterances, or a file of sentences"
    )
    parser.add_argument("--most-files", type=int, default=60, help="files taken from the folder")
    parser.add_argument("--tapes", type=int, default=4, help="loops of utterances that the streams share")
    parser.add_argument("--tape-seconds", type=float, default=60.0, help="length of a loop")
    parser.add_argument("--gap-ms", type=float, nargs=2, default=(800.0, 2000.0), metavar=("MIN", "MAX"))
    parser.add_argument("--rate", type=int, default=16_000, help="Hz")
    parser.add_argument("--chunk-ms", type=int, default=100)
    parser.add_argument("--binary", action="store_true", help="binary frames rather than base64 in JSON")
    parser.add_argument("--silence-ms", type=int, default=300, help="silence that ends an utterance")
    parser.add_argument("--events", default=EVENTS, help="event types to subscribe to, separated by commas")
    parser.add_argument("--seed", type=int, default=1)


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options for the output, with paths relative to the working directory."""
    settings = vars(options)
    return settings | {name: os.path.relpath(v) for name, v in settings.items() if isinstance(v, Path)}


def record_tapes(options: argparse.Namespace) -> list[Tape]:
    """Make the loops of utterances. Raises SystemExit with a message if there is no speech."""
    if not options.audio.exists():
        raise SystemExit(f"{options.audio} does not exist. Name a folder or a file with --audio.")
    found = list(utterances_from(options.audio, options.rate, options.most_files))
    if not found:
        raise SystemExit(f"{options.audio} contains no speech.")
    utterances = [samples for _, samples in found]
    first_words = first_words_ms(options.audio, found, options.rate)
    rng = np.random.default_rng(options.seed)
    mean_ms = float(np.mean([len(u) for u in utterances])) * 1000 / options.rate + sum(options.gap_ms) / 2
    count = max(1, round(options.tape_seconds * 1000 / mean_ms))
    picks = [rng.integers(len(utterances), size=count) for _ in range(options.tapes)]
    return [
        record_tape(
            [utterances[pick] for pick in row],
            rng,
            first_words_ms=[first_words[pick] for pick in row],
            rate=options.rate,
            chunk_ms=options.chunk_ms,
            gap_ms=(options.gap_ms[0], options.gap_ms[1]),
            binary=options.binary,
        )
        for row in picks
    ]


def first_words_ms(source: Path, utterances: Sequence[tuple[Path, Samples]], rate: int) -> list[float | None]:
    """Return where the first word of each utterance begins, by an alignment of the text in the manifest.

    None stands for an utterance without a text, or whose text cannot be aligned, and for every one that is
    not at 16 kHz. Sound alone is no sign of a word: recordings may begin with a breath or a rustle.
    """
    if rate != SAMPLE_RATE or not (source / MANIFEST).exists():
        return [None] * len(utterances)
    texts = {entry.path.resolve(): entry.text for entry in read_manifest(source)}
    aligner = Aligner()
    aligned = [
        aligner.align(Clip(samples), spoken(texts.get(path.resolve(), ""))) for path, samples in utterances
    ]
    return [ms_from_samples(words[0].start) if words else None for words in aligned]


def describe(tapes: Sequence[Tape]) -> dict[str, Any]:
    """Describe the loops for the output."""
    return {
        "tapes": len(tapes),
        "tape_seconds": round(sum(tape.ms for tape in tapes) / len(tapes) / 1000, 1),
        "utterances": sum(len(tape.labels) for tape in tapes),
        "speech_share": round(sum(tape.speech_share for tape in tapes) / len(tapes), 3),
        "bytes_per_message": max(len(frame) for frame in tapes[0].frames),
    }


async def measure(
    tapes: Sequence[Tape], url: str, options: argparse.Namespace, pid: int | None
) -> dict[str, Any]:
    """Run the load once and return its figures.

    pid: the process of the server, to measure its CPU and memory. Raises HandshakeError.
    """
    gc.collect()
    gc.freeze()  # keeps collections short, so that they do not delay the pacing
    settings = settings_frame(list(filter(None, options.events.split(","))), options.silence_ms)
    began, cpu = time.monotonic(), time.process_time()
    async with ProcessMonitor(url, pid) as monitor:
        result = await run_load(
            tapes, url, streams=options.streams, seconds=options.seconds, settings=settings, seed=options.seed
        )
    cpu_share = (time.process_time() - cpu) / (time.monotonic() - began)
    generator = {"cpu_share": round(cpu_share, 3), "pacing_lag_ms": summary(result.pacing_lag_ms)}
    return {
        **report(result, options.silence_ms, options.seconds),
        "generator": generator,
        "server": monitor.report(options.streams, options.seconds),
    }


def report(result: LoadResult, silence_ms: int, seconds: float) -> dict[str, Any]:
    """Return what the clients saw, with latencies in ms.

    beyond_silence_ms: latencies minus the silence that ends an utterance
    """
    score = result.score
    latencies = [latency for _, latency in score.finals]
    first = [latency for end_ms, latency in score.finals if end_ms <= MINUTE_MS]
    last = [latency for end_ms, latency in score.finals if end_ms > seconds * 1000 - MINUTE_MS]
    minutes = [first, last] if seconds * 1000 > MINUTE_MS else []
    return {
        "utterances": score.utterances,
        "lost": score.lost,
        "doubled": score.doubled,
        "split": score.split,
        "strays": score.strays,
        "missing_audio_ms": round(result.missing_ms),
        "errors": dict(result.errors),
        "closes": {str(code): count for code, count in result.closes.items()},
        "messages_received": result.messages,
        "final_ms": summary(latencies),
        "beyond_silence_ms": summary([latency - silence_ms for latency in latencies]),
        "final_ms_first_and_last_minute": [summary(minute) for minute in minutes],
        "partial_ms": summary(score.partials),
        "partial_after_word_ms": summary(score.partials_after_word),
    }


def show(title: str, figures: Mapping[str, Any]) -> None:
    """Print figures as lines."""
    print(f"\n{title}")
    for name, value in figures.items():
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        print(f"  {name:36} {text}")


def raise_file_limit() -> None:
    """Raise the limit on open files to the hard limit of the system."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    """Run the benchmark and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.load.load",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--url", default="ws://localhost:5001/ws/stt")
    parser.add_argument("--pid", type=int, help="process of the server, to measure its CPU and memory")
    add_arguments(parser, streams=10)
    options = parser.parse_args()
    raise_file_limit()
    tapes = record_tapes(options)
    head = {"machine": machine(), "inputs": describe(tapes), "settings": settings_of(options)}
    for title, part in head.items():
        show(title, part)
    figures = uvloop.run(measure(tapes, options.url, options, options.pid))
    show("figures", figures)
    print(json.dumps({"bench": "load", **head, **figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
