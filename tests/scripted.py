"""python -m tests.scripted: the server as it is, with a recognizer whose words are fixed beside its own.

The recognizer knows one file, test.wav. It finds a clip there by correlation. So neither a lossy codec nor
the moment at which a microphone begins changes a word. A recognizer's process imports this file too, to know
the name.

SCRIPTED_WAV names another file to know. Its sentences stand beside it, in a file of the same name that ends
with .json: [[start in ms, end in ms, text], …].
SCRIPTED_HOLD names a file with a text. While it exists, the recognizer waits before it answers a clip with
that text, or any clip where the file is empty. The text "load" holds the load of the recognizer.
SCRIPTED_SECONDS makes it as slow as a large model on a small machine: each batch takes so many seconds.
"""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

import main
from asr.model_registry import EMBEDDED
from asr.recognizer import Hypothesis, RecognitionRequest, Word
from audio.clip import Samples, samples_from_ms
from tests.asr.spoken import ROOT, SENTENCES, read

NAME: Final = "scripted"
ALIKE: Final = 0.4  # least correlation, -1..1, of a clip and its place; other clips have no words
UNSURE: Final = 0.3  # confidence of words of one or two letters
SURE: Final = 0.9
LOST: Final = samples_from_ms(500)  # of a sentence that Chromium's microphone may lose on a busy machine
EDGE: Final = samples_from_ms(60)  # of a clip
QUIET: Final = 0.1  # level of an edge, as a part of the clip's, below which no sentence goes on there
LOAD: Final = "load"  # the text that holds the load
LOOK_SECONDS: Final = 0.02  # between two looks for the file that holds the recognizer


@dataclass(frozen=True, slots=True)
class Spoken:
    """A word of the known file. start, end: samples from its beginning; sentence: number of its sentence."""

    text: str
    start: int
    end: int
    sentence: int

    @property
    def middle(self) -> int:
        return (self.start + self.end) // 2


class Scripted:
    """Answer with the words of the known file whose middle lies in the clip.

    A clip that begins or ends in silence has the words of its sentence there, too, if it lost samples.
    """

    family = "test"
    device = "cpu"
    dtype = "none"
    languages: tuple[str, ...] = ("en",)

    def __init__(self) -> None:
        wait_while_held(LOAD)
        self._seconds = float(os.environ.get("SCRIPTED_SECONDS", "0"))
        path = Path(os.environ.get("SCRIPTED_WAV", ROOT / "test.wav"))
        sentences = (
            SENTENCES if path.name == "test.wav" else json.loads(path.with_suffix(".json").read_text())
        )
        self._known = Known(read(path).samples)
        self._spoken = [
            word
            for number, (start, end, text) in enumerate(sentences)
            for word in _words(start, end, text, number)
        ]

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        time.sleep(self._seconds)
        answers = [self._answer(request) for request in requests]
        for answer in answers:
            wait_while_held(answer.text)
        return answers

    def _answer(self, request: RecognitionRequest) -> Hypothesis:
        clip = request.clip
        ignored = request.options.unsupported({"words"})
        place = self._known.place_of(clip.samples)
        if place is None:
            return Hypothesis("", language="en", ignored=ignored)
        length = len(clip.samples)
        heard = [word for word in self._spoken if 0 <= word.middle - place < length]
        if heard and not request.partial:
            first = -LOST if _is_quiet(clip.samples[:EDGE], clip.samples) else 0
            end = length + (LOST if _is_quiet(clip.samples[-EDGE:], clip.samples) else 0)
            sentences = {word.sentence for word in heard}
            heard = [
                word
                for word in self._spoken
                if first <= word.middle - place < end and word.sentence in sentences
            ]
        words = tuple(
            Word(
                word.text,
                clip.start + min(length, max(0, word.start - place)),
                clip.start + min(length, max(0, word.end - place)),
                UNSURE if len(word.text) <= 2 else SURE,
            )
            for word in heard
        )
        text = " ".join(word.text for word in heard)
        return Hypothesis(text, words if request.options.words else (), language="en", ignored=ignored)


def _is_quiet(part: Samples, clip: Samples) -> bool:
    return bool(np.square(part).mean() < QUIET**2 * np.square(clip).mean())


def wait_while_held(text: str) -> None:
    """Wait while the file of SCRIPTED_HOLD exists and its content is part of the text."""
    name = os.environ.get("SCRIPTED_HOLD")
    while name:
        try:
            held = Path(name).read_text()
        except FileNotFoundError:
            return
        if held not in text:
            return
        time.sleep(LOOK_SECONDS)


class Known:
    """Find clips in the samples of the known file by correlation."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._sums = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
        self._spectra: dict[int, np.ndarray] = {}  # of the samples, by the length of the transform

    def place_of(self, samples: Samples) -> int | None:
        """Return where in the file a clip begins (negative: before it), or None where it does not occur."""
        energy = float(np.square(samples, dtype=np.float64).sum())
        if not energy:
            return None
        length, size = len(samples), len(self._samples)
        n = 1 << (size + length - 1).bit_length()  # a length with large factors takes up to ten times as long
        if n not in self._spectra:
            self._spectra[n] = np.fft.rfft(self._samples, n)
        products = np.fft.irfft(self._spectra[n] * np.fft.rfft(samples, n).conj(), n)
        places = np.arange(1 - length, size)
        first, end = np.clip(places, 0, size), np.clip(places + length, 0, size)
        energies = self._sums[end] - self._sums[first]
        alike = products[places] / np.sqrt(energy * np.maximum(energies, energy / 100))
        best = int(alike.argmax())
        return int(places[best]) if alike[best] >= ALIKE else None


def _words(start_ms: int, end_ms: int, text: str, sentence: int) -> list[Spoken]:
    """The words of a sentence, each as long as its letters are many."""
    words = text.split()
    start, end = samples_from_ms(start_ms), samples_from_ms(end_ms)
    edges = [0, *np.cumsum([len(word) for word in words]).tolist()]
    places = [start + (end - start) * edge // edges[-1] for edge in edges]
    return [Spoken(*each, sentence) for each in zip(words, places, places[1:], strict=False)]


EMBEDDED[NAME] = Scripted

if __name__ == "__main__":
    raise SystemExit(main.main())
