"""Measure the seconds per 5 s segment of recognizers at several batch sizes.

    python -m bench.accuracy.recognizers [--batches 1 2 4 8] [--faster-whisper-python PYTHON]

The engines are this project's recognizers, the pipeline of transformers with the same weights in the same
process, and optionally faster-whisper and whisper.cpp, each in a process of its own. PYTHON must have
faster-whisper, and transformers if the weights are to be converted. A folder of CTranslate2 runs as it is.
Every round runs all engines and batch sizes, so that other work on the machine affects all of them alike.
The table has the medians over the rounds.

This project runs Whisper with the full context of 30 s, as the other engines do, and with `--contexts short`
over little more than the clip. The pipeline of transformers has no int8.

Synthetic models ("shapes") have random weights and always write 24 tokens (see
bench/accuracy/synthetic_models.py). The models of --models have real weights, and their WER is shown. The
segments are the LibriSpeech utterances nearest to 5 s, or noise if there is no recorded speech.
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

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # must be set before torch is imported, as in main.py

import numpy as np
import torch
import transformers

from asr.transformers_base import INT8
from asr.windows import AudioContext
from audio.clip import SAMPLE_RATE, Clip
from bench.accuracy import engines
from bench.accuracy.corpus import read_manifest
from bench.accuracy.engines import Engine, EngineRun
from bench.accuracy.ggml_whisper import write_model
from bench.accuracy.synthetic_models import SHAPES
from bench.accuracy.text_metrics import Normalizer, compare, total
from bench.accuracy.wer import AUDIO, SPELLINGS
from bench.load.load import settings_of, show
from bench.load.machine import machine

CTRANSLATE2_FILE: Final = "model.bin"
SEGMENT_SECONDS: Final = 5.0
DEFAULT_MODEL: Final = SPELLINGS.parent


@dataclass(frozen=True, slots=True)
class Candidate:
    """Describe one engine with its model and settings.

    engine: the name in the table; real: whether the weights are real (else random)
    """

    model: str
    engine: str
    dtype: str
    threads: int
    real: bool
    run: Engine


@dataclass(frozen=True, slots=True)
class ReferenceSegment:
    """Hold a clip and its reference text."""

    clip: Clip
    text: str


def segments(count: int) -> list[ReferenceSegment]:
    """Return `count` segments: the utterances nearest to 5 s, or noise without text."""
    if not AUDIO.is_dir():
        noise = np.random.default_rng(0).normal(0, 0.05, (count, round(SEGMENT_SECONDS * SAMPLE_RATE)))
        return [ReferenceSegment(Clip(row.astype(np.float32)), "") for row in noise]
    entries = read_manifest(AUDIO / "librispeech")
    nearest = sorted(entries, key=lambda entry: abs(entry.seconds - SEGMENT_SECONDS))[:count]
    return [ReferenceSegment(Clip(entry.read()), entry.text) for entry in nearest]


def sources(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Path, bool]]:
    """Yield the name and the folder of each model, and whether its weights are real."""
    for model in options.models:
        yield model.resolve().name, model.resolve(), True
    for shape in options.shapes:
        yield f"{shape} (random)", SHAPES[shape](folder / shape), False


def candidates(
    name: str,
    source: Path,
    real: bool,
    clips: Sequence[Clip],
    options: argparse.Namespace,
    folder: Path,
    stack: ExitStack,
) -> Iterator[Candidate]:
    """Yield every engine and setting for one model. `stack` ends the processes that it starts."""
    is_converted = (source / CTRANSLATE2_FILE).exists()
    is_whisper = is_converted or json.loads((source / "config.json").read_text())["model_type"] == "whisper"
    python = options.faster_whisper_python if is_whisper else None
    converted = source if is_converted else folder / f"{source.name}-ct2"
    if python and not is_converted:
        engines.convert(python, source, converted)
    cpp_model = folder / f"{source.name}.bin"
    cpp_python = options.whisper_cpp_python if is_whisper else None
    if cpp_python:
        write_model(options.whisper_cpp_source or source, cpp_model)
    for threads in options.threads:
        for dtype in options.dtypes:
            how: dict[str, Any] = {"device": options.device, "dtype": dtype, "threads": threads}
            contexts: list[AudioContext] = options.contexts if is_whisper else ["full"]
            for context in contexts:
                run = engines.own_engine(str(source), clips, **how, audio_context=context)
                engine = "ours" if context == "full" else f"ours {context}"
                yield Candidate(name, engine, dtype, threads, real, run)
            if dtype != INT8 and not is_converted:
                run = engines.transformers_engine(str(source), clips, **how)
                yield Candidate(name, "transformers", dtype, threads, real, run)
        if python:
            for kind in options.compute_types:
                child = engines.faster_whisper(python, converted, folder / "clips.npy", kind, threads)
                yield Candidate(name, "faster-whisper", kind, threads, real, stack.enter_context(child))
        if cpp_python:
            child = engines.whisper_cpp(cpp_python, cpp_model, folder / "clips.npy", threads)
            yield Candidate(name, "whisper.cpp", "float16", threads, real, stack.enter_context(child))


def measure(
    tested: Sequence[Candidate], batches: Sequence[int], rounds: int
) -> dict[tuple[int, int], list[EngineRun]]:
    """Return the runs by index of the candidate and batch size. An extra first round warms up, uncounted."""
    runs: dict[tuple[int, int], list[EngineRun]] = {}
    for number in range(rounds + 1):
        for size in batches:
            for index, candidate in enumerate(tested):
                run = candidate.run(size)
                if number:
                    runs.setdefault((index, size), []).append(run)
    return runs


def row(
    candidate: Candidate, size: int, runs: Sequence[EngineRun], references: Sequence[ReferenceSegment]
) -> dict[str, Any]:
    """Return one row of the table, with medians over the runs.

    rtfx: seconds of audio per second; wer: percent, None for random weights
    """
    seconds = statistics.median(run.seconds for run in runs) / len(references)
    return {
        "model": candidate.model,
        "engine": candidate.engine,
        "dtype": candidate.dtype,
        "threads": candidate.threads,
        "batch": size,
        "s_per_segment": round(seconds, 4),
        "least": round(min(run.seconds for run in runs) / len(references), 4),
        "most": round(max(run.seconds for run in runs) / len(references), 4),
        "cpu_s_per_segment": round(statistics.median(run.cpu_seconds for run in runs) / len(references), 4),
        "cpu_least": round(min(run.cpu_seconds for run in runs) / len(references), 4),
        "rtfx": round(sum(each.clip.seconds for each in references) / len(references) / seconds, 1),
        "wer": wer(runs[-1].texts, references) if candidate.real else None,
        "words": sum(len(text.split()) for text in runs[-1].texts),
    }


def wer(texts: Sequence[str], references: Sequence[ReferenceSegment]) -> float | None:
    """Return the word error rate over all segments in percent, None without reference words."""
    normalizer = Normalizer(SPELLINGS if SPELLINGS.exists() else None)
    rate = total(
        compare(normalizer.words(each.text), normalizer.words(text))
        for text, each in zip(texts, references, strict=True)
    ).rate
    return None if rate is None else round(100 * rate, 2)


def ratios(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Compare this project's engine at its largest batch with batch size 1 and with the other engines.

    A ratio above 1 means that this project is faster. elapsed: by wall clock; cpu: by CPU seconds, which is
    also meaningful while other work runs on the machine
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
    """Print the rows as a table."""
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
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.accuracy.recognizers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument(
        "--models",
        nargs="*",
        type=Path,
        default=[DEFAULT_MODEL] if DEFAULT_MODEL.is_dir() else [],
        help="folders of models",
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
    parser.add_argument("--faster-whisper-python", help="an interpreter that has both")
    parser.add_argument("--whisper-cpp-python", help="an interpreter that has pywhispercpp")
    parser.add_argument(
        "--whisper-cpp-source",
        type=Path,
        help="the model in transformers' format, if --models has it converted",
    )
    parser.add_argument(
        "--compute-types", nargs="+", default=["float32", "int8"], help="compute types of faster-whisper"
    )
    return parser.parse_args()


def main() -> int:
    """Run the benchmark and return the exit status."""
    options = arguments()
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    references = segments(options.segments)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    head = {
        "machine": machine() | versions | {"load": [round(each, 1) for each in os.getloadavg()]},
        "inputs": {
            "segments": len(references),
            "mean_seconds": round(statistics.mean(each.clip.seconds for each in references), 2),
            "speech": bool(references[0].text),
        },
        "settings": settings_of(options) | {"models": [os.path.relpath(each) for each in options.models]},
    }
    for title, part in head.items():
        show(title, part)
    clips = [each.clip for each in references]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engines.save_clips(clips, folder / "clips.npy")
        for model, source, real in sources(options, folder):
            with ExitStack() as stack:
                tested = list(candidates(model, source, real, clips, options, folder, stack))
                runs = measure(tested, options.batches, options.rounds)
            rows += [
                row(tested[index], size, found, references) for (index, size), found in sorted(runs.items())
            ]
    print_rows(rows)
    show("times the throughput", ratios(rows))
    load_after = round(os.getloadavg()[0], 1)
    print(json.dumps({"bench": "recognizers", **head, "rows": rows, "load_after": load_after}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
