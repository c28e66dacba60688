"""Compare the audio contexts of Whisper in CTranslate2's format: word errors, time and repeated decoding.

python -m bench.accuracy.audio_context FOLDER … [--most 80] [--batches 1 8] [--contexts full short]
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault(
    "OMP_WAIT_POLICY", "passive"
)  # must be set before CTranslate2 is imported, as in main.py

import jiwer
import numpy as np

from asr.ctranslate2_whisper import Ctranslate2Whisper
from asr.recognizer import RecognitionRequest
from audio.clip import Clip
from bench.accuracy.corpus import ManifestEntry, read_manifest
from bench.accuracy.text_metrics import Normalizer
from bench.accuracy.wer import AUDIO, SPELLINGS
from bench.load.machine import machine


def evenly(entries: Sequence[ManifestEntry], most: int) -> list[ManifestEntry]:
    """Return at most `most` entries, evenly spread."""
    places = np.linspace(0, len(entries) - 1, min(most, len(entries))).astype(int)
    return [entries[place] for place in places]


def measure(
    recognizer: Ctranslate2Whisper, clips: Sequence[Clip], size: int
) -> tuple[list[str], float, float, int]:
    """Return the texts, wall and CPU seconds, and the number of windows that were decoded again."""
    again, wall, cpu = recognizer.decoded_again, time.monotonic(), time.process_time()
    texts = [
        hypothesis.text
        for first in range(0, len(clips), size)
        for hypothesis in recognizer.transcribe(
            [RecognitionRequest(clip) for clip in clips[first : first + size]]
        )
    ]
    return (
        texts,
        time.monotonic() - wall,
        time.process_time() - cpu,
        recognizer.decoded_again - again,
    )


def main() -> int:
    """Run the benchmark and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy.audio_context", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--set", default="librispeech", help="a folder of ../shared/audio with a manifest")
    parser.add_argument("--most", type=int, default=80, help="most utterances to use")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--contexts", nargs="+", default=["full", "short"], choices=["full", "short"])
    options = parser.parse_args()
    normalizer = Normalizer(SPELLINGS if SPELLINGS.exists() else None)
    entries = evenly(read_manifest(AUDIO / options.set), options.most)
    clips = [Clip(entry.read()) for entry in entries]
    references = [" ".join(normalizer.words(entry.text)) for entry in entries]
    seconds = sum(clip.seconds for clip in clips)
    print(machine(), f"{len(clips)} utterances, {seconds:.0f} s, load {os.getloadavg()[0]:.1f}")
    print("| weights | context | batch | WER % | wall s | CPU s | decoded again |")
    print("|---|---|---|---|---|---|---|")
    for folder in options.folders:
        for context in options.contexts:
            recognizer = Ctranslate2Whisper.load(folder, device="cpu", audio_context=context)
            recognizer.transcribe([RecognitionRequest(clips[0])])
            for size in options.batches:
                texts, wall, cpu, again = measure(recognizer, clips, size)
                wer = jiwer.wer(references, [" ".join(normalizer.words(text)) for text in texts])
                cells = (f"{100 * wer:.2f}", f"{wall:.1f}", f"{cpu:.1f}", again)
                print("|", *(f"{cell} |" for cell in (folder.name, context, size, *cells)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
