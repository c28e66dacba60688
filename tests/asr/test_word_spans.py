"""Test that words of a segment are separated."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Word
from asr.word_spans import MIN_SAMPLES, separated

TIMES = st.integers(-40_000, 60_000)


def test_right_times_are_kept() -> None:
    words = (Word("good", 1_000, 2_000, 0.9), Word("morning", 2_000, 2_000 + MIN_SAMPLES))
    assert separated(words, 1_000, 4_000) == words


def test_no_words_stay_none() -> None:
    assert separated((), 5, 5) == ()


def test_words_at_one_place_before_the_end_share_it() -> None:
    words = (Word("a", 900, 900), Word("b", 1_000, 1_000), Word("c", 1_000, 1_000))
    spans = [(word.start, word.end) for word in separated(words, 0, 1_000)]
    assert spans == [(40, 360), (360, 680), (680, 1_000)]


@given(st.lists(st.tuples(TIMES, TIMES), max_size=30), st.integers(0, 20_000), st.integers(1, 20_000))
def test_separated_words_are_ordered_long_enough_and_inside(
    times: list[tuple[int, int]], start: int, length: int
) -> None:
    words = [Word(str(number), *span, 0.5) for number, span in enumerate(times)]
    spread = separated(words, start, start + length)
    assert [(word.text, word.confidence) for word in spread] == [(word.text, 0.5) for word in words]
    least = min(MIN_SAMPLES, length // max(1, len(words)))
    assert all(start <= word.start and word.end <= start + length for word in spread)
    assert all(word.end - word.start >= least for word in spread)
    assert all(before.end <= after.start for before, after in pairwise(spread))
    assert separated(spread, start, start + length) == spread
