"""Test that only endless repetitions are shortened."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.hallucination_filter import FILTERS, AcousticEvidence, FilterThresholds, Strictness
from asr.recognizer import Hypothesis, Word
from streaming.repetitions import find_run, shortened

NORMAL = FilterThresholds()
KEPT = 5
SPEECH = AcousticEvidence(seconds=5.0, rms=-20.0, speech_probability=0.8, speech_peak=1.0)  # room for 24
NOISE = AcousticEvidence(seconds=5.0, rms=-20.0, speech_probability=0.1, speech_peak=0.7)
SENTENCE = "I told him no, no, no, no, no, no, no, no, and then he finally left the house."
LETTERS = st.lists(st.sampled_from("abc"), max_size=40)


def timed(text: str) -> Hypothesis:
    words = tuple(Word(word, 100 * n, 100 * n + 90, 0.5) for n, word in enumerate(text.split()))
    return Hypothesis(text, words=words)


@pytest.mark.parametrize(
    "text", [SENTENCE, "5 5 5 5 5 5 0 1 9 9", "Testing, " * 9 + "one two three", "ha " * 24]
)
def test_repeated_words_of_speech_are_kept(text: str) -> None:
    said = timed(text)
    assert shortened(said, SPEECH, NORMAL) is said


def test_loop_over_noise_is_shortened_and_the_rest_kept() -> None:
    left = shortened(timed(SENTENCE), NOISE, NORMAL)
    assert left.text == "I told him no, no, no, no, no, and then he finally left the house."
    assert " ".join(word.text for word in left.words) == left.text
    assert [word.start for word in left.words] == [*range(0, 700, 100), *range(1_000, 1_800, 100)]


def test_loop_without_end_is_shortened_in_speech_too() -> None:
    left = shortened(timed("well " + "you " * 200), SPEECH, NORMAL)
    assert left.text == "well you you you you you"


def test_long_phrase_is_shortened_in_speech_too() -> None:
    sentence = "I'm not sure what I'm doing here."
    long = AcousticEvidence(seconds=30.0, rms=-20.0, speech_probability=0.9, speech_peak=1.0)
    assert shortened(timed("Well. " + f"{sentence} " * 9), long, NORMAL).text == " ".join(
        ["Well.", *[sentence] * KEPT]
    )


def test_text_without_spaces_is_shortened() -> None:
    phrase = "ご視聴ありがとう"
    said = Hypothesis(f"はい{phrase * 9}ね", words=(Word(f"はい{phrase * 9}ね", 0, 900),))
    left = shortened(said, NOISE, NORMAL)
    assert left.text == f"はい{phrase * KEPT}ね"
    assert left.words == (Word(left.text, 0, 900),)


def test_filter_that_is_off_shortens_nothing() -> None:
    said = timed("no " * 90)
    assert shortened(said, NOISE, FILTERS[Strictness.OFF]) is said


@given(LETTERS, LETTERS)
def test_words_outside_the_run_are_never_deleted(before: list[str], after: list[str]) -> None:
    looped = " ".join([*before, *["x", "y"] * 20, *after])
    left = shortened(timed(looped), NOISE, NORMAL)
    plain_before = shortened(Hypothesis(" ".join(before)), NOISE, NORMAL).text.split()
    plain_after = shortened(Hypothesis(" ".join(after)), NOISE, NORMAL).text.split()
    assert left.text.split() == [*plain_before, *["x", "y"] * KEPT, *plain_after]


@given(st.lists(st.sampled_from(["a", "b,", "B.", "c"]), max_size=60))
def test_shortening_twice_is_shortening_once(said: list[str]) -> None:
    once = shortened(timed(" ".join(said)), NOISE, NORMAL)
    assert shortened(once, NOISE, NORMAL) is once
    assert find_run(once.text.split(), 1, KEPT) is None


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=60))
def test_words_stay_those_of_the_text(said: list[str]) -> None:
    left = shortened(timed(" ".join(said)), NOISE, NORMAL)
    assert [word.text for word in left.words] == left.text.split()
    assert all(before.end <= after.start for before, after in pairwise(left.words))


@given(phrase=st.lists(st.integers(), min_size=1, max_size=5, unique=True), times=st.integers(2, 9))
def test_a_phrase_said_so_often_is_found_so_often(phrase: list[int], times: int) -> None:
    run = find_run([str(word) for word in phrase * times], 1, times - 1)
    assert run is not None
    assert (run.start, run.length, run.copies) == (0, len(phrase), times)
    assert find_run([str(word) for word in phrase * times], 1, times) is None
