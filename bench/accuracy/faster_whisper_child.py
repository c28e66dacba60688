"""Run faster-whisper over a file of clips: `python faster_whisper_child.py MODEL TYPE THREADS CLIPS`.

MODEL is a folder written by ct2-transformers-converter, TYPE a compute type (float32, int8 …). CLIPS is an
.npy file of float32 (n, samples) at 16 kHz; shorter clips are padded with zeros, and their lengths are in
CLIPS.lengths.npy. For each batch size on a line of stdin, the script writes one line of JSON to stdout with
the figures over all clips: {"seconds", "cpu_seconds", "texts"}.

bench.accuracy.engines starts this script with an interpreter that has faster-whisper installed. The script
imports nothing of this project, because the project's dependencies are missing there.
"""

import json
import sys
import time
from itertools import pairwise
from typing import Any

import numpy as np
from faster_whisper import BatchedInferencePipeline, WhisperModel  # type: ignore[import-not-found]

RATE = 16_000
MAX_TOKENS = 81  # for a clip of 5 s, the limit of this project's decoder
GREEDY = {
    "language": "en",
    "beam_size": 1,
    "temperature": 0.0,
    "without_timestamps": True,
    "max_new_tokens": MAX_TOKENS,
    "no_speech_threshold": None,  # keep every segment
}


def one_by_one(model: Any, clips: list[Any]) -> list[str]:
    """Transcribe each clip by itself."""
    return [
        " ".join(part.text for part in model.transcribe(clip, condition_on_previous_text=False, **GREEDY)[0])
        for clip in clips
    ]


def batched(model: Any, clips: list[Any], size: int) -> list[str]:
    """Transcribe the clips in batches of `size`.

    The library batches segments of one recording. The clips of a batch are therefore joined into one
    recording with one segment per clip.
    """
    texts: list[str] = []
    pipeline = BatchedInferencePipeline(model)
    for first in range(0, len(clips), size):
        group = clips[first : first + size]
        edges = (np.cumsum([0, *map(len, group)]) + 0.5) / RATE  # half a sample, as the library rounds down
        spans = [{"start": start, "end": end} for start, end in pairwise(edges.tolist())]
        parts = pipeline.transcribe(np.concatenate(group), batch_size=size, clip_timestamps=spans, **GREEDY)[
            0
        ]
        rows = [""] * len(group)
        for part in parts:
            rows[int(np.searchsorted(edges, (part.start + part.end) / 2)) - 1] += part.text
        texts += rows
    return texts


def main() -> None:
    folder, compute_type, threads, path = sys.argv[1:]
    model = WhisperModel(folder, device="cpu", compute_type=compute_type, cpu_threads=int(threads))
    lengths = np.load(f"{path}.lengths.npy")
    clips = [row[:length] for row, length in zip(np.load(path), lengths, strict=True)]
    for line in sys.stdin:
        size = int(line)
        wall, cpu = time.perf_counter(), time.process_time()
        texts = one_by_one(model, clips) if size == 1 else batched(model, clips, size)
        seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
        print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "texts": texts}), flush=True)


if __name__ == "__main__":
    main()
