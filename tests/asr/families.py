"""Assertions that hold for the recognizers of every family."""

import random
from dataclasses import replace

import pytest

from asr.recognizer import Hypothesis, RecognitionRequest, Recognizer, TranscriptionOptions
from tests.asr import tiny

WORDS = TranscriptionOptions(words=True)


def assert_same(ours: Hypothesis, theirs: Hypothesis) -> None:
    """Compare text, words and times exactly, and probabilities within rounding."""
    assert ours.text == theirs.text
    assert ours.language == theirs.language
    assert ours.confidence == pytest.approx(theirs.confidence, abs=1e-4)
    assert ours.avg_log_prob == pytest.approx(theirs.avg_log_prob, abs=1e-3)
    assert ours.language_probability == pytest.approx(theirs.language_probability, abs=1e-4)
    assert ours.no_speech_probability == pytest.approx(theirs.no_speech_probability, abs=1e-4)
    assert ours.ignored == theirs.ignored
    times = [(word.text, word.start, word.end) for word in ours.words]
    assert times == [(word.text, word.start, word.end) for word in theirs.words]


def assert_batched_equals_alone(recognizer: Recognizer, seed: int, rows: int = 6) -> None:
    """Batch clips of random lengths, two of them equal, and silence."""
    lengths = random.Random(seed)
    seconds = [lengths.uniform(0.2, 2.5) for _ in range(rows)]
    clips = [tiny.babble(each, row, start=1000 * row) for row, each in enumerate([*seconds, seconds[0]])]
    requests = [RecognitionRequest(clip, WORDS) for clip in (*clips, tiny.silence(1.1))]
    together = recognizer.transcribe(requests)
    assert len({each.text for each in together}) > 1, (
        "the model tells nothing apart: the test would prove nothing"
    )
    for request, each in zip(requests, together, strict=True):
        (alone,) = recognizer.transcribe([request])
        assert_same(each, alone)


def assert_short_and_silent_clips_are_answered(recognizer: Recognizer) -> None:
    clips = [tiny.silence(0), tiny.babble(1 / 16_000), tiny.babble(0.02), tiny.silence(0.5), tiny.silence(2)]
    for answer in recognizer.transcribe([RecognitionRequest(clip, WORDS) for clip in clips]):
        assert answer.confidence is None or 0 <= answer.confidence <= 1
        assert (answer.confidence is None) == (answer.avg_log_prob is None) == (answer.text == "")


def assert_only_word_times_are_honoured(recognizer: Recognizer) -> None:
    """Options that are not supported are named and change nothing, also beside supported hotwords."""
    clip = tiny.babble(1)
    asked = replace(WORDS, language="en", prompt="so", task="translate", temperature=0.5, hotwords=("łódź",))
    plain, ignorant = recognizer.transcribe(
        [RecognitionRequest(clip, WORDS), RecognitionRequest(clip, asked)]
    )
    assert plain.ignored == ()
    assert ignorant.ignored == ("language", "prompt", "task", "temperature", "hotwords")
    assert_same(replace(ignorant, ignored=()), plain)


def assert_words_tell_the_text_and_lie_in_the_clip(recognizer: Recognizer) -> None:
    requests = [RecognitionRequest(tiny.babble(2, seed, start=50_000), WORDS) for seed in range(4)]
    for request, answer in zip(requests, recognizer.transcribe(requests), strict=True):
        assert " ".join(word.text for word in answer.words) == answer.text
        edges = [edge for word in answer.words for edge in (word.start, word.end)]
        assert edges == sorted(edges)
        assert all(request.clip.start <= edge <= request.clip.end for edge in edges)
        assert all(word.confidence is not None and 0 <= word.confidence <= 1 for word in answer.words)


def assert_hotwords_precede_the_prompt(recognizer: Recognizer) -> None:
    """Compare hotwords with a prompt that spells them."""
    clip = tiny.babble(1)
    hot = TranscriptionOptions(hotwords=("stream", "the clip"), prompt="sound")
    spelled = TranscriptionOptions(prompt="stream, the clip sound")
    plain, heated, prompted = recognizer.transcribe(
        [RecognitionRequest(clip), RecognitionRequest(clip, hot), RecognitionRequest(clip, spelled)]
    )
    assert heated.text == prompted.text != plain.text
    assert heated.ignored == ()


def assert_control_tokens_in_a_prompt_are_dropped(recognizer: Recognizer) -> None:
    """Compare a prompt with one that spells control tokens."""
    clip = tiny.babble(1)
    plain, with_tokens = recognizer.transcribe(
        [
            RecognitionRequest(clip, TranscriptionOptions(prompt=prompt))
            for prompt in ("the", "the<|endoftext|><|notimestamps|>")
        ]
    )
    assert plain.text == with_tokens.text
