"""python -m bench.accuracy.recognizers: seconds per segment of 5 s against batch size, ours beside others'.

Ours, and the pipeline of plain transformers, with the same weights in the same process; beside them
faster-whisper, where a Python that has it (with transformers, to convert the weights) is named. Every round
goes through all engines and batch sizes, so that a noisy minute falls on all of them; medians are told.

Ours runs Whisper with its full context of 30 s, as the others do, and with --contexts short over little more
than the clip. int8 is ours and faster-whisper's; the pipeline has no such thing.

Shapes have random weights, and say 24 tokens and their end whatever they hear: a token's embedding is so
loud that it decides on the next one (bench/accuracy/synthetic_models.py). Models have real weights, and
write what they hear.
Segments are the utterances of LibriSpeech nearest to 5 s, or noise where there is no recorded speech.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch, as main.py has it

import numpy as np
import torch
import transformers

from asr.transformers_base import INT8
from asr.whisper import AudioContext
from audio.clip import SAMPLE_RATE, Clip
from bench.accuracy import engines
from bench.accuracy.corpus import read_manifest
from bench.accuracy.engines import Engine, Run
from bench.accuracy.synthetic_models import SHAPES
from bench.accuracy.text_metrics import Normalizer, compare, total
from bench.accuracy.wer import AUDIO, SPELLINGS
from bench.load.load import settings_of, show
from bench.load.machine import machine

SECONDS: Final = 5.0
RELEARNED: Final = SPELLINGS.parent


@dataclass(frozen=True, slots=True)
class Contender:
    """An engine with its settings; real: its weights are. engine: ours, ours short …"""

    model: str
    engine: str
    dtype: str
    threads: int
    real: bool
    run: Engine


@dataclass(frozen=True, slots=True)
class ReferenceSegment:
    clip: Clip
    text: str


def segments(count: int) -> list[ReferenceSegment]:
    if not AUDIO.is_dir():
        noise = np.random.default_rng(0).normal(0, 0.05, (count, round(SECONDS * SAMPLE_RATE)))
        return [ReferenceSegment(Clip(row.astype(np.float32)), "") for row in noise]
    entries = read_manifest(AUDIO / "librispeech")
    nearest = sorted(entries, key=lambda entry: abs(entry.seconds - SECONDS))[:count]
    return [ReferenceSegment(Clip(entry.read()), entry.text) for entry in nearest]


def sources(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Path, bool]]:
    """Name, folder, whether its weights are real."""
    for model in options.models:
        yield model.resolve().name, model.resolve(), True
    for shape in options.shapes:
        yield f"{shape} (random)", SHAPES[shape](folder / shape), False


def contenders(
    name: str,
    source: Path,
    real: bool,
    clips: Sequence[Clip],
    options: argparse.Namespace,
    folder: Path,
    stack: ExitStack,
) -> Iterator[Contender]:
    is_whisper = json.loads((source / "config.json").read_text())["model_type"] == "whisper"
    python, converted = options.faster_whisper_python, folder / f"{source.name}-ct2"
    if python and is_whisper:
        engines.convert(python, source, converted)
    for threads in options.threads:
        for dtype in options.dtypes:
            how: dict[str, Any] = {"device": options.device, "dtype": dtype, "threads": threads}
            contexts: list[AudioContext] = options.contexts if is_whisper else ["full"]
            for context in contexts:
                run = engines.ours(str(source), clips, **how, audio_context=context)
                engine = "ours" if context == "full" else f"ours {context}"
                yield Contender(name, engine, dtype, threads, real, run)
            if dtype != INT8:
                run = engines.plain(str(source), clips, **how)
                yield Contender(name, "transformers", dtype, threads, real, run)
        for kind in options.compute_types if python and is_whisper else ():
            child = engines.faster_whisper(python, converted, folder / "clips.npy", kind, threads)
            yield Contender(name, "faster-whisper", kind, threads, real, stack.enter_context(child))


def measure(
    crew: Sequence[Contender], batches: Sequence[int], rounds: int
) -> dict[tuple[int, int], list[Run]]:
    """By place in the crew and batch size. The first round, which warms up, does not count."""
    runs: dict[tuple[int, int], list[Run]] = {}
    for lap in range(rounds + 1):
        for size in batches:
            for place, contender in enumerate(crew):
                run = contender.run(size)
                if lap:
                    runs.setdefault((place, size), []).append(run)
    return runs


def row(
    contender: Contender, size: int, runs: Sequence[Run], wanted: Sequence[ReferenceSegment]
) -> dict[str, Any]:
    """Medians. rtfx: seconds of sound in a second; wer: percent, of real weights."""
    seconds = statistics.median(run.seconds for run in runs) / len(wanted)
    return {
        "model": contender.model,
        "engine": contender.engine,
        "dtype": contender.dtype,
        "threads": contender.threads,
        "batch": size,
        "s_per_segment": round(seconds, 4),
        "least": round(min(run.seconds for run in runs) / len(wanted), 4),
        "most": round(max(run.seconds for run in runs) / len(wanted), 4),
        "cpu_s_per_segment": round(statistics.median(run.cpu_seconds for run in runs) / len(wanted), 4),
        "cpu_least": round(min(run.cpu_seconds for run in runs) / len(wanted), 4),
        "rtfx": round(sum(each.clip.seconds for each in wanted) / len(wanted) / seconds, 1),
        "wer": wer(runs[-1].texts, wanted) if contender.real else None,
        "words": sum(len(text.split()) for text in runs[-1].texts),
    }


def wer(texts: Sequence[str], wanted: Sequence[ReferenceSegment]) -> float | None:
    normalizer = Normalizer(SPELLINGS if SPELLINGS.exists() else None)
    rate = total(
        compare(normalizer.words(each.text), normalizer.words(text))
        for text, each in zip(texts, wanted, strict=True)
    ).rate
    return None if rate is None else round(100 * rate, 2)


def ratios(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Of our largest batch against one at a time, and against the others; above 1 ours is faster.

    elapsed: by the clock; cpu: by the CPU seconds of one thread, which hold on a crowded machine too
    """
    found: dict[str, dict[str, float]] = {}
    largest = max(each["batch"] for each in rows)
    ours = [each for each in rows if each["engine"].startswith("ours") and each["batch"] == largest]
    for mine in ours:
        who = f"{mine['model']}, {mine['dtype']}, {mine['threads']} thread(s), {mine['engine']} at {largest}"
        for other in rows:
            same = (other["model"], other["threads"]) == (mine["model"], mine["threads"])
            if same and other is not mine and other["batch"] in (1, largest):
                against = f"{other['engine']} {other['dtype']} at {other['batch']}"
                found[f"{who} / {against}"] = {
                    "elapsed": round(other["s_per_segment"] / mine["s_per_segment"], 2),
                    "cpu": round(other["cpu_s_per_segment"] / mine["cpu_s_per_segment"], 2),
                }
    return found


def print_rows(rows: Sequence[dict[str, Any]]) -> None:
    print(f"\n{'model':34} {'engine':15} {'dtype':9} {'thr':>3} {'batch':>5}", end=" ")
    print(f"{'s/segment':>9} {'least':>7} {'most':>7} {'cpu s':>7} {'least':>7} {'x real':>6} {'WER %':>6}")
    for each in rows:
        print(
            f"{each['model']:34} {each['engine']:15} {each['dtype']:9} {each['threads']:3} {each['batch']:5}"
            f" {each['s_per_segment']:9.4f} {each['least']:7.4f} {each['most']:7.4f}"
            f" {each['cpu_s_per_segment']:7.4f} {each['cpu_least']:7.4f}"
            f" {each['rtfx']:6.1f} {each['wer'] if each['wer'] is not None else '-':>6}"
        )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.accuracy.recognizers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument(
        "--models", nargs="*", type=Path, default=[RELEARNED] if RELEARNED.is_dir() else [], help="folders"
    )
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--segments", type=int, default=8)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument(
        "--dtypes", nargs="+", default=["float32", INT8], choices=["float32", "bfloat16", "float16", INT8]
    )
    parser.add_argument("--contexts", nargs="+", default=["full", "short"], choices=["full", "short"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--faster-whisper-python", help="a Python with faster-whisper and transformers")
    parser.add_argument("--compute-types", nargs="+", default=["float32", "int8"], help="of faster-whisper")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    wanted = segments(options.segments)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    head = {
        "machine": machine() | versions | {"load": [round(each, 1) for each in os.getloadavg()]},
        "inputs": {
            "segments": len(wanted),
            "mean_seconds": round(statistics.mean(each.clip.seconds for each in wanted), 2),
            "speech": bool(wanted[0].text),
        },
        "settings": settings_of(options) | {"models": [os.path.relpath(each) for each in options.models]},
    }
    for title, part in head.items():
        show(title, part)
    clips = [each.clip for each in wanted]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engines.save_clips(clips, folder / "clips.npy")
        for model, source, real in sources(options, folder):
            with ExitStack() as stack:
                crew = list(contenders(model, source, real, clips, options, folder, stack))
                runs = measure(crew, options.batches, options.rounds)
            rows += [row(crew[place], size, found, wanted) for (place, size), found in sorted(runs.items())]
    print_rows(rows)
    show("times the throughput", ratios(rows))
    load_after = round(os.getloadavg()[0], 1)
    print(json.dumps({"bench": "recognizers", **head, "rows": rows, "load_after": load_after}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
