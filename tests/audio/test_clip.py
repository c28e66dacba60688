"""Test clips and the conversion of samples to time."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.clip import HOP, SAMPLE_RATE, Clip, ms_from_samples, samples_from_ms, seconds_from_samples


def test_a_clip_ends_where_the_next_one_starts() -> None:
    clip = Clip(np.zeros(1600, np.float32), start=3200)
    assert clip.end == 4800
    assert clip.seconds == 0.1


def test_a_clip_starts_the_stream_unless_told_otherwise() -> None:
    assert Clip(np.zeros(1, np.float32)).start == 0


def test_an_empty_clip_ends_where_it_starts() -> None:
    clip = Clip(np.zeros(0, np.float32), start=7)
    assert (clip.end, clip.seconds) == (7, 0.0)


def test_a_clip_cannot_be_moved() -> None:
    with pytest.raises(FrozenInstanceError):
        Clip(np.zeros(1, np.float32)).start = 1  # type: ignore[misc]


def test_a_hop_lasts_32_ms() -> None:
    assert ms_from_samples(HOP) == 32
    assert samples_from_ms(32) == HOP


@pytest.mark.parametrize(("ms", "samples"), [(0, 0), (0.0625, 1), (1, 16), (299.98, 4800), (300, 4800)])
def test_milliseconds_become_the_nearest_whole_sample(ms: float, samples: int) -> None:
    assert samples_from_ms(ms) == samples


@pytest.mark.parametrize(("samples", "ms"), [(0, 0), (7, 0), (9, 1), (16, 1), (SAMPLE_RATE, 1000)])
def test_samples_become_the_nearest_whole_millisecond(samples: int, ms: int) -> None:
    assert ms_from_samples(samples) == ms


@given(st.integers(0, 10**9))
def test_whole_milliseconds_survive_the_way_to_samples_and_back(ms: int) -> None:
    assert ms_from_samples(samples_from_ms(ms)) == ms


def test_a_second_is_as_long_as_the_rate_says() -> None:
    assert seconds_from_samples(SAMPLE_RATE) == 1.0
