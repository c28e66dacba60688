"""Test which options are refused, and what is derived from them."""

import math

import pytest

from audio.clip import HOP
from vad.options import RANGES, OptionError, VadOptions, hops_from_ms


@pytest.mark.parametrize("name", RANGES)
def test_the_ends_of_each_range_are_allowed_and_what_lies_outside_is_refused_by_name(name: str) -> None:
    low, high = RANGES[name]
    for value in (low, high):
        VadOptions(**{name: value})  # type: ignore[arg-type]
    for value in (low - 1, high + 1, math.nan, math.inf):
        with pytest.raises(OptionError) as refusal:
            VadOptions(**{name: value})  # type: ignore[arg-type]
        assert refusal.value.param == name


def test_durations_become_the_fewest_whole_hops_that_last_so_long() -> None:
    assert [hops_from_ms(ms) for ms in (0, 1, 32, 33, 96, 300)] == [1, 1, 1, 2, 3, 10]
    assert VadOptions(silence_ms=300).silence_hops * HOP >= 300 * 16


def test_the_pre_roll_leaves_room_for_speech_in_the_shortest_segment() -> None:
    options = VadOptions(prefix_ms=2_000, max_segment_ms=1_000)
    assert options.prefix == options.max_segment // 2
    assert VadOptions(prefix_ms=300).prefix == 4_800


def test_speech_is_left_at_a_lower_probability_than_it_is_entered() -> None:
    assert VadOptions(threshold=0.5).exit_threshold == pytest.approx(0.35)
    assert VadOptions(threshold=0.0).exit_threshold > 0
