"""Run this project's recognizers and other engines over the same clips, and time them."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import transformers

from asr import model_registry
from asr.recognizer import RecognitionRequest
from asr.windows import AudioContext
from audio.clip import SAMPLE_RATE, Clip

FASTER_WHISPER_SCRIPT: Final = Path(__file__).with_name("faster_whisper_child.py")
WHISPER_CPP_SCRIPT: Final = Path(__file__).with_name("whisper_cpp_child.py")
COPIED_FILES: Final = ("tokenizer.json", "preprocessor_config.json")


@dataclass(frozen=True, slots=True)
class EngineRun:
    """Hold the result of one pass over all clips.

    seconds: elapsed time; cpu_seconds: CPU time of all threads; texts: one transcript per clip
    """

    seconds: float
    cpu_seconds: float
    texts: list[str]


Engine = Callable[[int], EngineRun]  # the argument is the batch size


def own_engine(
    source: str,
    clips: Sequence[Clip],
    *,
    device: str,
    dtype: str,
    threads: int,
    audio_context: AudioContext = "full",
) -> Engine:
    """Return an engine that runs a recognizer of this project.

    Raises ModelUnavailable and UnsupportedModel.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)  # CTranslate2's threads; those of torch are set for each run
    recognizer = model_registry.load(source, device=device, dtype=dtype, audio_context=audio_context)

    def recognize(group: Sequence[Clip]) -> list[str]:
        return [each.text for each in recognizer.transcribe([RecognitionRequest(clip) for clip in group])]

    return lambda size: _timed(clips, size, recognize, threads)


def transformers_engine(
    source: str, clips: Sequence[Clip], *, device: str, dtype: str, threads: int
) -> Engine:
    """Return an engine that runs the speech recognition pipeline of transformers.

    It decodes greedily, with the same limit on tokens as this project's decoder.
    """
    pipeline: Any = transformers.pipeline(
        "automatic-speech-recognition", model=source, device=device, dtype=getattr(torch, dtype)
    )
    greedy = {"max_new_tokens": 81, "num_beams": 1, "do_sample": False}
    options = {"generate_kwargs": greedy} if pipeline.model.can_generate() else {}

    def recognize(group: Sequence[Clip]) -> list[str]:
        inputs = [{"raw": clip.samples, "sampling_rate": SAMPLE_RATE} for clip in group]
        return [str(each["text"]) for each in pipeline(inputs, batch_size=len(group), **options)]

    return lambda size: _timed(clips, size, recognize, threads)


def _timed(
    clips: Sequence[Clip], size: int, recognize: Callable[[Sequence[Clip]], list[str]], threads: int
) -> EngineRun:
    torch.set_num_threads(threads)
    texts: list[str] = []
    wall, cpu = time.perf_counter(), time.process_time()
    for first in range(0, len(clips), size):
        texts += recognize(clips[first : first + size])
    return EngineRun(time.perf_counter() - wall, time.process_time() - cpu, texts)


def save_clips(clips: Sequence[Clip], path: Path) -> None:
    """Write the clips to `path` in the format that faster_whisper_child.py reads."""
    lengths = [len(clip.samples) for clip in clips]
    table = np.zeros((len(clips), max(lengths)), np.float32)
    for row, clip in zip(table, clips, strict=True):
        row[: len(clip.samples)] = clip.samples
    np.save(path, table)
    np.save(f"{path}.lengths.npy", np.array(lengths))


def convert(python: str, source: Path, target: Path) -> None:
    """Convert a Whisper model of transformers to the format of CTranslate2.

    python: an interpreter with ctranslate2 and transformers. Raises subprocess.CalledProcessError.
    """
    copied = [name for name in COPIED_FILES if (source / name).exists()]
    subprocess.run(
        [
            *(python, "-W", "ignore", "-c", "from ctranslate2.converters.transformers import main; main()"),
            *("--model", str(source), "--output_dir", str(target), "--copy_files", *copied),
        ],
        check=True,
        capture_output=True,
    )


def faster_whisper(
    python: str, folder: Path, clips: Path, compute_type: str, threads: int
) -> AbstractContextManager[Engine]:
    """Start faster-whisper in a process of its own and yield an engine that runs it.

    python: an interpreter with faster-whisper; folder: a model in CTranslate2's format; clips: the output of
    `save_clips`. A run raises SystemExit if the process has ended.
    """
    return _child(python, FASTER_WHISPER_SCRIPT, folder, compute_type, str(threads), clips)


def whisper_cpp(python: str, model: Path, clips: Path, threads: int) -> AbstractContextManager[Engine]:
    """Start whisper.cpp in a process of its own and yield an engine that runs it.

    python: an interpreter with pywhispercpp; model: a file in whisper.cpp's format; clips: the output of
    `save_clips`. A run raises SystemExit if the process has ended.
    """
    return _child(python, WHISPER_CPP_SCRIPT, model, str(threads), clips)


@contextmanager
def _child(python: str, script: Path, *arguments: str | Path) -> Iterator[Engine]:
    child = subprocess.Popen(
        [python, str(script), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    requests, replies = child.stdin, child.stdout

    def run(size: int) -> EngineRun:
        print(size, file=requests, flush=True)
        if not (reply := replies.readline()):
            raise SystemExit(f"The process of {script.name} has ended. Its error output is above.")
        return EngineRun(**json.loads(reply))

    try:
        yield run
    finally:
        requests.close()
        child.wait()
