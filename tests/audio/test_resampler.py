"""Test that frequencies below 8 kHz pass, those above do not, and chunks make no difference."""

import numpy as np
import pytest
import soxr  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from audio.clip import SAMPLE_RATE, Samples
from audio.resampler import Resampler
from tests.examples import examples

PCM16_STEP = 1 / 32768
EDGE = 3200  # samples, 200 ms: the filter rings at both ends of a tone


def tone(frequency: float, rate: int, seconds: float = 1.0, amplitude: float = 0.5) -> Samples:
    t = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * frequency * t)).astype(np.float32)


def noise(samples: int, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, samples).astype(np.float32)


def resampled(samples: Samples, rate: int, chunk: int) -> Samples:
    resampler = Resampler(rate)
    pieces = [resampler.resample(samples[at : at + chunk]) for at in range(0, len(samples), chunk)]
    return np.concatenate([*pieces, resampler.flush()])


def steady(frequency: float, rate: int) -> Samples:
    """Return the middle of a tone that was resampled in chunks of 20 ms."""
    return resampled(tone(frequency, rate), rate, rate // 50)[EDGE:-EDGE].astype(np.float64)


def decibels(ratio: float) -> float:
    return 20 * float(np.log10(max(ratio, 1e-12)))


def rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))


INPUT_RMS = 0.5 / np.sqrt(2)


def test_at_16_khz_samples_pass_untouched() -> None:
    samples = noise(100)
    resampler = Resampler(SAMPLE_RATE)
    assert resampler.resample(samples) is samples
    assert len(resampler.flush()) == 0


@pytest.mark.parametrize(
    ("rate", "frequency"),
    [
        (rate, frequency)
        for rate in (22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000)
        for frequency in (8_050, 8_500, 9_000, 10_500, 11_900, 15_000, 16_000, 21_000, 23_900, 47_000)
        if frequency < rate / 2
    ],
)
def test_a_tone_above_8_khz_is_80_db_down(rate: int, frequency: int) -> None:
    assert decibels(rms(steady(frequency, rate)) / INPUT_RMS) <= -80


@pytest.mark.parametrize("rate", [8_000, 11_025, 12_000, 22_050, 24_000, 44_100, 48_000, 96_000, 191_999])
def test_a_tone_of_the_voice_keeps_its_level_and_gets_no_companion(rate: int) -> None:
    for frequency in (60, 300, 1_000, 3_400, 7_000):
        if frequency > 0.45 * rate:
            continue
        output = steady(frequency, rate)
        t = np.arange(EDGE, EDGE + len(output)) / SAMPLE_RATE
        basis = np.stack([np.sin(2 * np.pi * frequency * t), np.cos(2 * np.pi * frequency * t)], axis=1)
        weights, *_ = np.linalg.lstsq(basis, output, rcond=None)
        assert abs(decibels(float(np.hypot(*weights)) / 0.5)) <= 0.05
        assert abs(float(np.arctan2(weights[1], weights[0]))) <= 0.01  # no delay in the stream's own time
        assert decibels(rms(output - basis @ weights) / INPUT_RMS) <= -80


@given(rate=st.integers(8_000, 192_000), count=st.integers(0, 3_000), chunk=st.integers(1, 2_000))
@examples(60)
def test_chunks_leave_no_trace(rate: int, count: int, chunk: int) -> None:
    samples = noise(count)
    one_piece = resampled(samples, rate, max(count, 1))
    pieces = resampled(samples, rate, chunk)
    assert len(pieces) == len(one_piece) == (2 * count * SAMPLE_RATE + rate) // (2 * rate)
    np.testing.assert_allclose(pieces, one_piece, rtol=0, atol=PCM16_STEP)


@pytest.mark.parametrize("rate", [8_000, 24_000, 44_100, 48_000])
def test_the_stream_agrees_with_resampling_all_at_once(rate: int) -> None:
    samples = noise(rate)
    expected = soxr.resample(samples, rate, SAMPLE_RATE, quality="HQ")
    np.testing.assert_allclose(resampled(samples, rate, rate // 50), expected, rtol=0, atol=PCM16_STEP)


@pytest.mark.parametrize("rate", [8_000, 44_100, 191_999])
def test_after_a_flush_it_is_as_new(rate: int) -> None:
    resampler = Resampler(rate)
    resampler.resample(noise(5_000, seed=1))
    resampler.flush()
    samples = noise(5_000, seed=2)
    again = np.concatenate([resampler.resample(samples), resampler.flush()])
    np.testing.assert_array_equal(again, resampled(samples, rate, 5_000))


def test_a_flush_with_nothing_to_say_is_empty() -> None:
    resampler = Resampler(48_000)
    assert len(resampler.flush()) == 0
    assert len(resampler.flush()) == 0


def test_overshoot_of_the_filter_stays_within_full_scale() -> None:
    square = np.sign(tone(440, 48_000)).astype(np.float32)
    assert np.max(np.abs(soxr.resample(square, 48_000, SAMPLE_RATE))) > 1
    assert np.max(np.abs(resampled(square, 48_000, 4_800))) <= 1


def test_what_comes_out_is_no_view_of_something_larger() -> None:
    resampler = Resampler(48_000)
    for _ in range(5):
        assert resampler.resample(noise(4_800)).base is None
