"""Measure the memory and time of transcribing a long file over REST.

    python -m bench.load.file_upload --minutes 60 --model pocketsphinx

The file repeats test.wav (or --audio). A server is started for the run. Afterwards the recognizer alone
transcribes the same segments in a process of its own, in batches as large as the server's; the ratio of both
times is the server's overhead. The memory peak is the resident memory of the server and its children.

The exit status is 1 if the time or memory exceeds its limit.
"""

import argparse
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import httpx
import numpy as np

from asr.model_registry import load
from asr.recognizer import RecognitionRequest, warm_up
from audio.clip import SAMPLE_RATE, Clip
from audio.files import decode_file
from bench import ROOT
from bench.load.load import settings_of, show
from bench.load.machine import machine
from bench.load.process_monitor import Usage, usage_of
from server.settings import Settings

SAMPLING_SECONDS: Final = 0.1
MEMORY_LIMIT_MB: Final = 100.0  # above idle
MAX_WALL_RATIO: Final = 1.1

Span = tuple[float, float]  # start and end in seconds


@dataclass(frozen=True, slots=True)
class UploadCost:
    """Hold the cost of an upload. wall, cpu: seconds; rss_before, rss_peak: bytes."""

    wall: float
    cpu: float
    rss_before: int
    rss_peak: int


class CpuMeter:
    """Measure the cost of a process and its children inside a with block; `cost` is set on leaving."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.cost: UploadCost

    def __enter__(self) -> Self:
        self._before = usage_of(self._pid)
        self._peak = self._before.rss
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        wall = time.monotonic() - self._began
        self._stopped.set()
        self._thread.join()
        after: Usage = usage_of(self._pid)
        self.cost = UploadCost(
            wall, after.cpu - self._before.cpu, self._before.rss, max(self._peak, after.rss)
        )

    def _watch(self) -> None:
        while not self._stopped.wait(SAMPLING_SECONDS):
            self._peak = max(self._peak, usage_of(self._pid).rss)


def make_speech(source: Path, seconds: float, target: Path) -> float:
    """Write a WAV file of at least `seconds`, PCM16 at 16 kHz, and return its length in seconds."""
    with wave.open(str(source)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SAMPLE_RATE, 1, 2), (
            f"{source} must be mono PCM16 at 16 kHz."
        )
        frames, count = file.readframes(file.getnframes()), file.getnframes()
    times = max(1, -(-round(seconds * SAMPLE_RATE) // count))
    with wave.open(str(target), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        for _ in range(times):
            file.writeframes(frames)
    return float(times * count / SAMPLE_RATE)


@contextmanager
def serving(model: str, threads: int) -> Iterator[tuple[str, int]]:
    """Start a server and yield its URL and process id once its models are loaded."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    settings = {"HOST": "127.0.0.1", "PORT": str(port), "ASR_MODEL": model, "ASR_THREADS": str(threads)}
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "main.py")], env=os.environ | settings, stdout=log, stderr=log
        )
        try:
            while not _is_ready(url):
                assert process.poll() is None, "The server has ended."
                time.sleep(0.2)
            yield url, process.pid
        finally:
            process.terminate()
            process.wait()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready").status_code == 200
    except httpx.TransportError:
        return False


def transcribe(url: str, path: Path) -> list[Span]:
    """Transcribe a file through the server and return its segments."""
    with path.open("rb") as file:
        answer = httpx.post(
            f"{url}/v1/audio/transcriptions",
            data={"model": "whisper-1", "response_format": "verbose_json"},
            files={"file": (path.name, file)},
            timeout=None,
        )
    answer.raise_for_status()
    return [(segment["start"], segment["end"]) for segment in answer.json()["segments"]]


def recognize(model: str, path: Path, spans: Sequence[Span], threads: int) -> dict[str, float]:
    """Recognize the segments without a server, in a process of its own. Returns wall and CPU seconds."""
    with multiprocessing.get_context("spawn").Pool(1, _limit_threads, (threads,)) as pool:
        return pool.apply(_recognize, (model, path, spans))


def _limit_threads(threads: int) -> None:
    os.environ["OMP_NUM_THREADS"] = str(threads)


def _recognize(model: str, path: Path, spans: Sequence[Span]) -> dict[str, float]:
    """Recognize the segments in this process. The time for decoding the file does not count."""
    recognizer = load(model, device="cpu")
    warm_up(recognizer)
    batch_items = Settings.model_construct().asr_batch_items if model not in ("pocketsphinx", "free") else 1
    wall = cpu = 0.0
    requests: list[RecognitionRequest] = []
    for number, clip in enumerate(_clips(path, spans), 1):
        requests.append(RecognitionRequest(clip))
        if len(requests) == batch_items or number == len(spans):
            began = time.monotonic(), time.process_time()
            recognizer.transcribe(requests)
            wall += time.monotonic() - began[0]
            cpu += time.process_time() - began[1]
            requests.clear()
    return {"wall": wall, "cpu": cpu}


def _clips(path: Path, spans: Sequence[Span]) -> Iterator[Clip]:
    """Yield the clip of each span. The whole file is never in memory."""
    pieces = decode_file(path)
    held = next(pieces)
    for span in spans:
        start, end = (round(second * SAMPLE_RATE) for second in span)
        while held.end < end and (piece := next(pieces, None)) is not None:
            kept = held.samples[max(0, start - held.start) :]
            held = Clip(np.concatenate([kept, piece.samples]), piece.start - len(kept))
        yield Clip(held.samples[max(0, start - held.start) : end - held.start], start)


def report(
    seconds: float, spans: Sequence[Span], served: UploadCost, alone: dict[str, float]
) -> dict[str, Any]:
    """Compare the server with the recognizer alone."""
    mib = 2**20
    return {
        "file_s": round(seconds, 1),
        "segments": len(spans),
        "speech_s": round(sum(end - start for start, end in spans), 1),
        "server_wall_s": round(served.wall, 1),
        "server_cpu_s": round(served.cpu, 1),
        "alone_wall_s": round(alone["wall"], 1),
        "alone_cpu_s": round(alone["cpu"], 1),
        "wall_ratio": round(served.wall / alone["wall"], 3) if alone["wall"] else None,
        "cpu_ratio": round(served.cpu / alone["cpu"], 3) if alone["cpu"] else None,
        "idle_mb": round(served.rss_before / mib, 1),
        "peak_above_idle_mb": round((served.rss_peak - served.rss_before) / mib, 1),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return the exit status, 1 if a figure exceeds its limit."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.load.file_upload",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="length of the file")
    parser.add_argument(
        "--model",
        default="pocketsphinx",
        help="a value of ASR_MODEL; free measures everything but recognition",
    )
    parser.add_argument("--audio", type=Path, default=ROOT / "test.wav", help="PCM16 at 16 kHz, mono")
    parser.add_argument("--threads", type=int, default=1, help="threads of the recognizer")
    parser.add_argument("--json", action="store_true", help="print one line of JSON at the end")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "speech.wav")
        seconds = make_speech(options.audio, options.minutes * 60, path)
        with serving(options.model, options.threads) as (url, pid):
            transcribe(url, options.audio)  # warm up
            with CpuMeter(pid) as meter:
                spans = transcribe(url, path)
        alone = recognize(options.model, path, spans, options.threads)
    figures = report(seconds, spans, meter.cost, alone)
    show("file over REST", figures)
    if options.json:
        print(json.dumps({"machine": machine(), "settings": settings_of(options), "figures": figures}))
    slow = options.model != "free" and figures["wall_ratio"] > MAX_WALL_RATIO
    return int(slow or figures["peak_above_idle_mb"] > MEMORY_LIMIT_MB)


if __name__ == "__main__":
    raise SystemExit(main())
