"""Test the count of kept words, and that the filter keeps real short speech."""

import shutil
from functools import cache

import numpy as np
import pytest

from asr.ctranslate2_whisper import Ctranslate2Whisper
from asr.recognizer import Hypothesis, RecognitionRequest
from audio.clip import Clip, Samples
from bench.accuracy.kept_words import (
    Case,
    Segment,
    correct_words,
    figures,
    over_telephone,
    run_session,
    synthesize,
    with_margins,
    words_of,
)
from streaming.events import FinalTranscript
from streaming.options import SessionOptions
from tests.asr.real_weights import ctranslate2_weights
from vad.detector import Detector
from vad.segmenter import Reason

SILENCE = np.zeros(16_000, np.float32)


def segment(recognized: str, kept: str, guard: str | None = None) -> Segment:
    final = FinalTranscript(1, Clip(SILENCE), Reason.SILENCE, Hypothesis(kept), guard)
    return Segment(final, Hypothesis(recognized))


def test_digits_are_words() -> None:
    assert words_of("My number is 55, isn't it?") == ["my", "number", "is", "five", "five", "isn't", "it"]


def test_correct_words_are_those_of_the_reference() -> None:
    assert correct_words(["five", "zero"], ["5", "oh."]) == 1


def test_figures_count_what_the_filter_took() -> None:
    case = Case("answers", ("bye",), SILENCE)
    rows = figures(
        [(case, [segment("Bye.", "", "phantom")]), (case, [segment("Bye bye.", "Bye bye.")]), (case, [])]
    )
    assert rows == {
        "clips": 3,
        "words": 3,
        "undetected": 1,
        "without_text": 0,
        "right_before": 2,
        "right_after": 1,
        "extra": 1,
        "voided": 1,
        "by": {"phantom": 1},
    }


@cache
def recognizer(name: str) -> Ctranslate2Whisper:
    return Ctranslate2Whisper.load(ctranslate2_weights(name), device="cpu")


def kept(name: str, samples: Samples) -> list[str]:
    def recognize(request: RecognitionRequest) -> Hypothesis:
        return recognizer(name).transcribe([request])[0]

    segments = run_session(samples, Detector.load(), recognize, SessionOptions(eager=False))
    return words_of(" ".join(each.final.hypothesis.text for each in segments))


needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="the command flite is absent")
each_model = pytest.mark.parametrize("weights", ["whisper-tiny.en", "whisper-base"])


@pytest.mark.slow
@needs_flite
@each_model
@pytest.mark.parametrize("word", ["bye", "nine"])
def test_short_word_is_kept_and_not_repeated(weights: str, word: str) -> None:
    """In the noise of a telephone, base may hear it twice on processors without VNNI: 8-bit sums differ."""
    rng = np.random.default_rng(1)
    clean = with_margins(synthesize(word, "slt"), rng)
    assert kept(weights, clean) == [word]
    assert 1 <= len(kept(weights, over_telephone(clean, rng))) <= 2


@pytest.mark.slow
@needs_flite
@each_model
def test_repeated_words_and_the_words_around_them_are_kept(weights: str) -> None:
    """The models do not count exactly how often a word was said."""
    text = "i said to him no no no no no no no and then he finally went away"
    words = kept(weights, with_margins(synthesize(text, "slt"), np.random.default_rng(1)))
    assert [word for word in words if word != "no"] == text.replace("no ", "").split()
    assert 6 <= words.count("no") <= 9
