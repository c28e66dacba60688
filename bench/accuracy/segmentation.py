"""Measure how the segmentation of long recordings changes the words and the cost of their recognition.

    python -m bench.accuracy.segmentation whisper-tiny.en --most 120

The recordings of each speaker are joined into a long one, with gaps of faint noise. Each segmentation cuts
it, and the recognizer transcribes one segment after the other on one thread. Words are counted over the whole
recording.

"silence": as a live stream, for several lengths of the silence that ends an utterance
"file": as a file, for several lengths of its longest segment
"open language": as a file whose language is detected for each segment
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench import ROOT

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

from asr.model_registry import load
from asr.recognizer import RecognitionRequest, Recognizer
from audio.clip import SAMPLE_RATE, Clip, Samples
from audio.loudness import quietest
from bench.accuracy.corpus import LongRecording, by_speaker, join, pick, read_manifest
from bench.accuracy.text_metrics import Errors, Normalizer, compare, total
from bench.accuracy.turns import speech_probabilities
from bench.load.machine import machine
from streaming.model_clients import LANGUAGE_PAUSE_MS
from vad.detector import Detector
from vad.file_segmenter import FileSegmenter
from vad.options import FILE_PAUSE_MS, FILE_SEGMENT_MS, VadOptions
from vad.segmenter import Endpoint, Reason, Segmenter

AUDIO: Final = ROOT.parent / "shared" / "audio"
SPELLINGS: Final = ROOT.parent / "shared" / "models" / "whisper-normalizer.json"
SEGMENTATIONS: Final = {
    **{f"silence of {ms} ms": VadOptions(silence_ms=ms) for ms in (300, 400, 500, 600, 700)},
    **{
        f"file, up to {ms // 1000} s": VadOptions(pause_ms=FILE_PAUSE_MS, max_segment_ms=ms)
        for ms in (15_000, 20_000, FILE_SEGMENT_MS)
    },
    "file, open language": VadOptions(pause_ms=LANGUAGE_PAUSE_MS, max_segment_ms=FILE_SEGMENT_MS),
}


def segments(samples: Samples, probabilities: Sequence[float], options: VadOptions) -> list[Clip]:
    """Return the segments of a recording; probabilities: of speech, one for each hop."""

    def quiet_place(low: int, high: int) -> int:
        return low + quietest(samples[low:high])

    segmenter = (FileSegmenter if options.pause_ms else Segmenter)(options, quiet_place)
    decisions = [segmenter.feed(probability) for probability in probabilities]
    decisions.append(segmenter.close(segmenter.position, Reason.END_OF_STREAM))
    ends = [decision for decision in decisions if isinstance(decision, Endpoint)]
    return [Clip(samples[end.start : end.end], end.start) for end in ends]


def measure(
    recognizer: Recognizer,
    recordings: Sequence[tuple[LongRecording, Sequence[float]]],
    options: VadOptions,
    normalizer: Normalizer,
) -> dict[str, Any]:
    """Transcribe the recordings in segments, and return the errors and the cost."""
    clips, comparisons, cpu = 0, [], 0.0
    for recording, probabilities in recordings:
        parts = segments(recording.samples, probabilities, options)
        began = time.process_time()
        texts = [recognizer.transcribe([RecognitionRequest(clip)])[0].text for clip in parts]
        cpu += time.process_time() - began
        clips += len(parts)
        said = " ".join(place.entry.text for place in recording.places)
        comparisons.append(compare(normalizer.words(said), normalizer.words(" ".join(texts))))
    errors: Errors = total(comparisons)
    return {
        "segments": clips,
        "words": errors.words,
        "errors": errors.wrong,
        "substituted": errors.substitutions,
        "deleted": errors.deletions,
        "inserted": errors.insertions,
        "wer_%": round(100 * errors.wrong / errors.words, 2),
        "cpu_s": round(cpu, 1),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.accuracy.segmentation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="a value of ASR_MODEL")
    parser.add_argument(
        "--set", type=Path, default=AUDIO / "librispeech", help="a folder with a manifest.jsonl"
    )
    parser.add_argument("--most", type=int, default=120, help="most utterances, spread over the speakers")
    parser.add_argument("--gap-seconds", type=float, nargs=2, default=(0.6, 2.5), metavar=("MIN", "MAX"))
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    entries = pick(read_manifest(given.set), given.most, rng)
    joined = [join(group, rng, tuple(given.gap_seconds)) for group in by_speaker(entries).values()]
    detector = Detector.load()
    recordings = [(each, speech_probabilities(detector, each.samples)) for each in joined]
    recognizer = load(given.model)
    normalizer = Normalizer(SPELLINGS if SPELLINGS.exists() else None)
    row = partial(measure, recognizer, recordings, normalizer=normalizer)
    rows: dict[str, dict[str, Any]] = {}
    for name, options in SEGMENTATIONS.items():
        rows[name] = row(options=options)
        print(name, rows[name], flush=True)
    seconds = round(sum(len(each.samples) for each in joined) / SAMPLE_RATE)
    load_average = round(os.getloadavg()[0], 1)
    settings = {
        "model": given.model,
        "most": given.most,
        "gap_seconds": given.gap_seconds,
        "seed": given.seed,
    }
    result = {"bench": "segmentation", "machine": machine(), "load": load_average, "seconds": seconds}
    print(json.dumps(result | settings | {"rows": rows}))


if __name__ == "__main__":
    main()
