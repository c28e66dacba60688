"""Engines: ours and others, each with the same clips; one run says what it took and what was heard."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import transformers

from asr import model_registry
from asr.recognizer import RecognitionRequest
from asr.whisper import AudioContext
from audio.clip import SAMPLE_RATE, Clip

CHILD: Final = Path(__file__).with_name("faster_whisper_child.py")
COPIED: Final = ("tokenizer.json", "preprocessor_config.json")


@dataclass(frozen=True, slots=True)
class Run:
    """Over all clips. seconds: elapsed; cpu_seconds: of all threads; None where they are not told."""

    seconds: float
    cpu_seconds: float
    texts: list[str]


Engine = Callable[[int], Run]  # batch size


def ours(
    source: str,
    clips: Sequence[Clip],
    *,
    device: str,
    dtype: str,
    threads: int,
    audio_context: AudioContext = "full",
) -> Engine:
    """Raises ModelUnavailable, UnsupportedModel."""
    recognizer = model_registry.load(source, device=device, dtype=dtype, audio_context=audio_context)

    def hear(group: Sequence[Clip]) -> list[str]:
        return [each.text for each in recognizer.transcribe([RecognitionRequest(clip) for clip in group])]

    return lambda size: _timed(clips, size, hear, threads)


def plain(source: str, clips: Sequence[Clip], *, device: str, dtype: str, threads: int) -> Engine:
    """transformers' pipeline for speech recognition, greedy, its answers bounded as ours are."""
    pipeline: Any = transformers.pipeline(
        "automatic-speech-recognition", model=source, device=device, dtype=getattr(torch, dtype)
    )
    greedy = {"max_new_tokens": 81, "num_beams": 1, "do_sample": False}
    options = {"generate_kwargs": greedy} if pipeline.model.can_generate() else {}

    def hear(group: Sequence[Clip]) -> list[str]:
        sounds = [{"raw": clip.samples, "sampling_rate": SAMPLE_RATE} for clip in group]
        return [str(each["text"]) for each in pipeline(sounds, batch_size=len(group), **options)]

    return lambda size: _timed(clips, size, hear, threads)


def _timed(
    clips: Sequence[Clip], size: int, hear: Callable[[Sequence[Clip]], list[str]], threads: int
) -> Run:
    torch.set_num_threads(threads)
    texts: list[str] = []
    wall, cpu = time.perf_counter(), time.process_time()
    for first in range(0, len(clips), size):
        texts += hear(clips[first : first + size])
    return Run(time.perf_counter() - wall, time.process_time() - cpu, texts)


def save_clips(clips: Sequence[Clip], path: Path) -> None:
    """As the child wants them."""
    lengths = [len(clip.samples) for clip in clips]
    table = np.zeros((len(clips), max(lengths)), np.float32)
    for row, clip in zip(table, clips, strict=True):
        row[: len(clip.samples)] = clip.samples
    np.save(path, table)
    np.save(f"{path}.lengths.npy", np.array(lengths))


def convert(python: str, source: Path, target: Path) -> None:
    """A Whisper of transformers' to CTranslate2's format. Raises subprocess.CalledProcessError."""
    copied = [name for name in COPIED if (source / name).exists()]
    subprocess.run(
        [
            *(python, "-W", "ignore", "-c", "from ctranslate2.converters.transformers import main; main()"),
            *("--model", str(source), "--output_dir", str(target), "--copy_files", *copied),
        ],
        check=True,
        capture_output=True,
    )


@contextmanager
def faster_whisper(
    python: str, folder: Path, clips: Path, compute_type: str, threads: int
) -> Iterator[Engine]:
    """python: one that has the library; folder: of `convert`; clips: of `save_clips`.

    A run raises SystemExit if the library has ended.
    """
    child = subprocess.Popen(
        [python, str(CHILD), str(folder), compute_type, str(threads), str(clips)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    orders, answers = child.stdin, child.stdout

    def run(size: int) -> Run:
        print(size, file=orders, flush=True)
        if not (answer := answers.readline()):
            raise SystemExit("faster-whisper has ended; what it wrote stands above")
        return Run(**json.loads(answer))

    try:
        yield run
    finally:
        orders.close()
        child.wait()
