"""Test that the quietest position is found."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from audio.loudness import BLOCK, SPAN, quietest


@given(st.integers(SPAN // 2 * BLOCK, 20_000 - SPAN * BLOCK))
def test_the_middle_of_a_pause_in_noise_is_found(start: int) -> None:
    noise = np.random.default_rng(7).standard_normal(20_000).astype(np.float32)
    noise[start : start + SPAN * BLOCK] *= 0.01
    assert abs(quietest(noise) - (start + SPAN * BLOCK // 2)) <= BLOCK


def test_of_too_few_samples_the_middle_is_taken() -> None:
    assert quietest(np.ones(1_000, np.float32)) == 500
    assert quietest(np.ones(0, np.float32)) == 0


def test_a_short_dip_inside_a_word_is_passed_over_for_a_pause() -> None:
    sound = np.ones(16_000, np.float32)
    sound[4_000:4_320] = 0.0  # 20 ms
    sound[10_000:11_600] = 0.1  # 100 ms
    assert 10_000 <= quietest(sound) <= 11_600
