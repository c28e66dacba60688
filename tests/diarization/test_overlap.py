"""Test which words and intervals count as overlapping speech."""

import numpy as np
import pytest

from diarization.overlap import LEAST, NO_OVERLAPS, Overlaps
from diarization.steps import FRAME_SAMPLES, STEP_SPEAKERS, overlaps_of_steps

OVERLAPS = Overlaps.of([(1_000, 2_000), (3_000, 3_500)])


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (1_000, 2_000, True),
        (500, 1_500, True),
        (499, 1_500, False),
        (1_500, 3_500, True),
        (2_000, 3_000, False),
        (1_500, 1_500, False),
    ],
)
def test_half_of_a_word_must_be_overlapped(start: int, end: int, expected: bool) -> None:
    assert OVERLAPS.has_word(start, end) is expected
    assert OVERLAPS.shifted(70).has_word(start + 70, end + 70) is expected
    assert not NO_OVERLAPS.has_word(start, end)


def test_interval_without_words_needs_some_overlap() -> None:
    overlaps = Overlaps.of([(0, LEAST - 1), (90_000, 90_001)])
    assert not overlaps.has_part_of(0, 80_000)
    assert overlaps.has_part_of(0, 100_000)


def test_overlaps_of_steps_are_joined() -> None:
    active = np.zeros((100, STEP_SPEAKERS), np.bool_)
    active[10:80, 3], active[40:, 7] = True, True
    spans = overlaps_of_steps([active[:50], active[50:]]).spans
    assert spans.tolist() == [[40 * FRAME_SAMPLES, 80 * FRAME_SAMPLES]]
    assert not len(overlaps_of_steps([]).spans)
