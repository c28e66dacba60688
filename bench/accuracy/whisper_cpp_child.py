"""Run whisper.cpp over a file of clips: `python whisper_cpp_child.py MODEL THREADS CLIPS`.

MODEL is a file in whisper.cpp's format; CLIPS and the protocol are those of faster_whisper_child.py.
whisper.cpp has no batches: the clips run one after the other at every batch size.

bench.accuracy.engines starts this script with an interpreter that has pywhispercpp installed. The script
imports nothing of this project, because the project's dependencies are missing there.
"""

import json
import sys
import time

import numpy as np
from pywhispercpp.model import Model  # type: ignore[import-not-found]


def main() -> None:
    path, threads, clips_path = sys.argv[1:]
    quiet = {"print_progress": False, "print_realtime": False, "print_timestamps": False}
    model = Model(
        path,
        n_threads=int(threads),
        redirect_whispercpp_logs_to=None,
        language="en",
        no_timestamps=True,
        **quiet,
    )
    lengths = np.load(f"{clips_path}.lengths.npy")
    clips = [row[:length].copy() for row, length in zip(np.load(clips_path), lengths, strict=True)]
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        texts = [" ".join(part.text.strip() for part in model.transcribe(clip)) for clip in clips]
        seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
        print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "texts": texts}), flush=True)


if __name__ == "__main__":
    main()
