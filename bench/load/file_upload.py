"""Measure memory and overhead of a long file over REST: python -m bench.load.file_upload.

The file is speech again and again: test.wav, or another one. A server is started for it. Afterwards the same
segments go through the same recognizer alone, in a process of its own, as many at a time as the server would
give it: the time that no server can save. Peaks are of resident memory, of the server and its children.
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

from asr.model_registry import load, warm_up
from asr.recognizer import RecognitionRequest
from audio.clip import SAMPLE_RATE, Clip
from audio.files import decode_file
from bench import ROOT
from bench.load.load import settings_of, show
from bench.load.machine import machine
from bench.load.process_monitor import Usage, usage_of
from server.settings import Settings

SAMPLE_SECONDS: Final = 0.1
MEMORY_LIMIT_MB: Final = 100.0
TIME_LIMIT: Final = 1.1

Span = tuple[float, float]  # seconds


@dataclass(frozen=True, slots=True)
class UploadCost:
    """wall, cpu: seconds; rss_before, rss_peak: bytes"""

    wall: float
    cpu: float
    rss_before: int
    rss_peak: int


class CpuMeter:
    """What a process and its children cost from entering to leaving it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
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
        self._over.set()
        self._thread.join()
        after: Usage = usage_of(self._pid)
        self.cost = UploadCost(
            wall, after.cpu - self._before.cpu, self._before.rss, max(self._peak, after.rss)
        )

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            self._peak = max(self._peak, usage_of(self._pid).rss)


def make_speech(source: Path, seconds: float, target: Path) -> float:
    """Writes a wav of at least so many seconds, PCM16 at 16 kHz; returns how many it has."""
    with wave.open(str(source)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SAMPLE_RATE, 1, 2), (
            f"{source} is not PCM16 at 16 kHz, mono"
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
    """URL and process of a server whose models are loaded."""
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
                assert process.poll() is None, "the server has ended"
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
    """The segments of a file, as the server has them."""
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
    """The recognizer alone, in a process of its own. wall, cpu: seconds."""
    with multiprocessing.get_context("spawn").Pool(1, _limit_threads, (threads,)) as pool:
        return pool.apply(_recognize, (model, path, spans))


def _limit_threads(threads: int) -> None:
    os.environ["OMP_NUM_THREADS"] = str(threads)


def _recognize(model: str, path: Path, spans: Sequence[Span]) -> dict[str, float]:
    """Decoding the file is not counted."""
    recognizer = load(model, device="cpu")
    warm_up(recognizer)
    most = Settings.model_construct().asr_batch_items if model not in ("pocketsphinx", "free") else 1
    wall = cpu = 0.0
    requests: list[RecognitionRequest] = []
    for number, clip in enumerate(_clips(path, spans), 1):
        requests.append(RecognitionRequest(clip))
        if len(requests) == most or number == len(spans):
            began = time.monotonic(), time.process_time()
            recognizer.transcribe(requests)
            wall += time.monotonic() - began[0]
            cpu += time.process_time() - began[1]
            requests.clear()
    return {"wall": wall, "cpu": cpu}


def _clips(path: Path, spans: Sequence[Span]) -> Iterator[Clip]:
    """One at a time: the file is never there as a whole."""
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
    """1 if a figure is beyond its limit."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.load.file_upload", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="length of the file")
    parser.add_argument("--model", default="pocketsphinx", help="free: what is around recognition")
    parser.add_argument("--audio", type=Path, default=ROOT / "test.wav", help="PCM16 at 16 kHz, mono")
    parser.add_argument("--threads", type=int, default=1, help="of the recognizer")
    parser.add_argument("--json", action="store_true", help="one line at the end")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "speech.wav")
        seconds = make_speech(options.audio, options.minutes * 60, path)
        with serving(options.model, options.threads) as (url, pid):
            transcribe(url, options.audio)  # what is built on first use is not the file's
            with CpuMeter(pid) as meter:
                spans = transcribe(url, path)
        alone = recognize(options.model, path, spans, options.threads)
    figures = report(seconds, spans, meter.cost, alone)
    show("a file over REST", figures)
    if options.json:
        print(json.dumps({"machine": machine(), "settings": settings_of(options), "figures": figures}))
    late = options.model != "free" and figures["wall_ratio"] > TIME_LIMIT
    return int(late or figures["peak_above_idle_mb"] > MEMORY_LIMIT_MB)


if __name__ == "__main__":
    raise SystemExit(main())
