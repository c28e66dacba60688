"""Word boundaries move to level changes, and words keep their order."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Word
from asr.word_boundaries import BLOCK_SAMPLES, MAX_SHIFT_BLOCKS, refine_boundaries
from audio.clip import SAMPLE_RATE, Clip, Samples


def sound(*runs: tuple[float, float]) -> Samples:
    """Return noise in runs of some seconds and level."""
    pieces = [np.full(round(seconds * SAMPLE_RATE), level) for seconds, level in runs]
    level = np.concatenate(pieces)
    return (level * np.random.default_rng(3).uniform(-1, 1, len(level))).astype(np.float32)


# A word from 0.5 to 1.0 s, another from 1.3 to 1.8 s.
TWO = Clip(sound((0.5, 0.001), (0.5, 0.3), (0.3, 0.001), (0.5, 0.3), (0.4, 0.001)), start=SAMPLE_RATE)


def at(seconds: float) -> int:
    return TWO.start + round(seconds * SAMPLE_RATE)


def test_words_give_up_the_silence_around_them() -> None:
    one, two = refine_boundaries([Word("one", at(0), at(1.05)), Word("two", at(1.05), at(2.2))], TWO)
    for edge, place in ((one.start, 0.5), (one.end, 1.0), (two.start, 1.3), (two.end, 1.8)):
        assert abs(edge - at(place)) <= 3 * BLOCK_SAMPLES


def test_a_boundary_that_came_late_goes_back_to_the_gap() -> None:
    joined = Clip(sound((0.5, 0.3), (0.04, 0.01), (0.5, 0.3)))
    late = [
        Word("one", 0, round(0.6 * SAMPLE_RATE)),
        Word("two", round(0.6 * SAMPLE_RATE), len(joined.samples)),
    ]
    one, two = refine_boundaries(late, joined)
    assert abs(one.end - 0.52 * SAMPLE_RATE) <= 3 * BLOCK_SAMPLES
    assert abs(two.start - 0.52 * SAMPLE_RATE) <= 3 * BLOCK_SAMPLES


def test_a_word_with_a_pause_inside_is_its_longer_side() -> None:
    """The end of the word before, or the beginning of the next one, was counted to it."""
    early = Clip(sound((0.5, 0.001), (0.1, 0.3), (0.6, 0.001), (0.4, 0.3), (0.4, 0.001)))
    (word,) = refine_boundaries([Word("ask", round(0.5 * SAMPLE_RATE), round(1.9 * SAMPLE_RATE))], early)
    assert abs(word.start - 1.2 * SAMPLE_RATE) <= 3 * BLOCK_SAMPLES
    assert abs(word.end - 1.6 * SAMPLE_RATE) <= 3 * BLOCK_SAMPLES
    late = Clip(early.samples[::-1].copy())
    (word,) = refine_boundaries([Word("ask", round(0.1 * SAMPLE_RATE), round(1.5 * SAMPLE_RATE))], late)
    assert abs(word.start - 0.4 * SAMPLE_RATE) <= 3 * BLOCK_SAMPLES
    assert abs(word.end - 0.8 * SAMPLE_RATE) <= 3 * BLOCK_SAMPLES


def test_a_short_silence_belongs_to_its_word() -> None:
    stop = Clip(sound((0.5, 0.001), (0.2, 0.3), (0.15, 0.001), (0.2, 0.3), (0.4, 0.001)))
    (word,) = refine_boundaries([Word("upper", round(0.4 * SAMPLE_RATE), round(1.2 * SAMPLE_RATE))], stop)
    assert abs(word.start - 0.5 * SAMPLE_RATE) <= 3 * BLOCK_SAMPLES
    assert abs(word.end - 1.05 * SAMPLE_RATE) <= 3 * BLOCK_SAMPLES


def test_where_nothing_is_quieter_a_boundary_stays() -> None:
    even = Clip(np.full(SAMPLE_RATE, 0.5, np.float32))
    words = [Word("one", 0, 8_000, 0.7), Word("two", 8_000, 16_000)]
    assert refine_boundaries(words, even) == tuple(words)


def test_without_words_or_sound_there_is_nothing_to_mend() -> None:
    assert refine_boundaries([], TWO) == ()
    short = Clip(np.zeros(BLOCK_SAMPLES * MAX_SHIFT_BLOCKS, np.float32))
    assert refine_boundaries([Word("one", 0, 9)], short) == (Word("one", 0, 9),)


@given(st.lists(st.integers(0, len(TWO.samples)), min_size=2, max_size=12))
def test_words_keep_their_order_and_their_place_in_the_clip(edges: list[int]) -> None:
    edges.sort()
    words = [Word("w", TWO.start + a, TWO.start + b) for a, b in pairwise(edges)]
    told = [edge for word in refine_boundaries(words, TWO) for edge in (word.start, word.end)]
    assert told == sorted(told)
    assert all(TWO.start <= edge <= TWO.end for edge in told)
