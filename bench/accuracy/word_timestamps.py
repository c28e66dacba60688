"""Word times held against a forced alignment.

    python -m bench.accuracy.word_timestamps ../shared/audio/librispeech \\
        --model ../shared/models/... --count 60

The reference: PocketSphinx told what was said, so that it only has to find where (10 ms frames). It is itself
off by some 20 ms at either end of a word, more where words flow into each other. Compared are the words that
the model heard right; the others have no reference.
"""

import argparse
import difflib
import json
import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pocketsphinx import Decoder  # type: ignore[import-untyped]

from asr.model_registry import load
from asr.pocketsphinx_decoder import pcm16
from asr.recognizer import RecognitionRequest, TranscriptionOptions, Word
from audio.clip import SAMPLE_RATE, Clip, ms_from_samples
from bench.accuracy.corpus import ManifestEntry, read_manifest
from bench.load.machine import machine

TOLERANCE_MS: Final = 80
_FRAME: Final = SAMPLE_RATE // 100
_SPOKEN: Final = re.compile(r"[\w']+")


@dataclass(frozen=True, slots=True)
class Offset:
    """ms by which a word comes later than in the reference; negative: earlier."""

    start: float
    end: float


class Aligner:
    """Finds where known words were said."""

    def __init__(self) -> None:
        self._decoder = Decoder(loglevel="FATAL")

    def align(self, clip: Clip, words: Sequence[str]) -> tuple[Word, ...] | None:
        """None where a word is not in the dictionary, or the alignment fails."""
        if any(self._decoder.lookup_word(word) is None for word in words):
            return None
        self._decoder.set_align_text(" ".join(words))
        self._decoder.start_utt()
        self._decoder.process_raw(pcm16(clip.samples), full_utt=True)
        self._decoder.end_utt()
        found = [segment for segment in self._decoder.seg() or () if segment.word[0] not in "<[+("]
        if len(found) != len(words):
            return None
        return tuple(
            Word(word, segment.start_frame * _FRAME, (segment.end_frame + 1) * _FRAME)
            for word, segment in zip(words, found, strict=True)
        )


def spoken(text: str) -> list[str]:
    """Lower case, without signs."""
    return _SPOKEN.findall(text.lower())


def offsets(reference: Sequence[Word], heard: Sequence[Word]) -> Iterator[Offset]:
    """Of the words that both have, in order."""
    texts = ["".join(spoken(word.text)) for word in heard]
    matcher = difflib.SequenceMatcher(a=[word.text for word in reference], b=texts, autojunk=False)
    for block in matcher.get_matching_blocks():
        for there, here in zip(
            reference[block.a : block.a + block.size], heard[block.b : block.b + block.size], strict=True
        ):
            yield Offset(ms_from_samples(here.start - there.start), ms_from_samples(here.end - there.end))


def summary(found: Sequence[float]) -> dict[str, float]:
    """median: ms, later is positive; p90: ms, either way; within: share within TOLERANCE_MS"""
    sizes = sorted(map(abs, found))
    return {
        "median_ms": statistics.median(found),
        "p90_ms": sizes[len(sizes) * 9 // 10],
        "within": round(sum(size <= TOLERANCE_MS for size in sizes) / len(sizes), 3),
    }


def measure(model: str, entries: Sequence[ManifestEntry], context: str = "full") -> dict[str, object]:
    recognizer = load(model, audio_context="short" if context == "short" else "full")
    aligner, found, total = Aligner(), list[Offset](), 0
    for entry in entries:
        clip = Clip(entry.read())
        reference = aligner.align(clip, spoken(entry.text))
        if reference is None:
            continue
        (heard,) = recognizer.transcribe([RecognitionRequest(clip, TranscriptionOptions(words=True))])
        total += len(reference)
        found += offsets(reference, heard.words)
    return {
        "model": recognizer.description.model,
        "words": total,
        "matched": len(found),
        "start": summary([offset.start for offset in found]),
        "end": summary([offset.end for offset in found]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", type=Path, help="a folder with a manifest.jsonl")
    parser.add_argument("--model", action="append", help="as ASR_MODEL; several times for several")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--context", choices=["full", "short"], default="full", help="Whisper's")
    options = parser.parse_args()
    entries = read_manifest(options.set)
    every = max(1, len(entries) // options.count)
    chosen = entries[::every][: options.count]
    rows = [measure(model, chosen, options.context) for model in options.model or ["pocketsphinx"]]
    for row in rows:
        print(row)
    print(json.dumps({"bench": "wordtimes", "machine": machine(), "utterances": len(chosen), "rows": rows}))


if __name__ == "__main__":
    main()
