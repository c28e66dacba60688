"""Test that two channels are mixed, and that opposite ones do not cancel."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.clip import SAMPLE_RATE, Samples
from audio.codecs import Encoding, SampleReader
from audio.stereo import StereoMixer
from tests.examples import examples

SECOND = SAMPLE_RATE


def voice(seed: int, seconds: float = 2.0, pitch: float = 110.0) -> Samples:
    """Return syllables with harmonics of a gliding pitch, and pauses between them."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * SECOND)) / SECOND
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.2 * np.sin(2 * np.pi * 1.7 * time + seed))) / SECOND
    harmonics = sum(rng.uniform(0.1, 1) * np.sin(n * phase + rng.uniform(0, 6)) / n for n in range(1, 30))
    syllables = np.clip(np.sin(2 * np.pi * 3 * time + seed), 0, None)
    return (0.2 * harmonics * syllables).astype(np.float32)


def mixed(left: Samples, right: Samples) -> tuple[Samples, Samples]:
    """Return what the mixer returns, and the mean."""
    channels = np.stack((left, right)).astype(np.float32)
    mean = channels.mean(axis=0)
    return StereoMixer(SECOND).mix(channels, mean), mean


def shares(left: Samples, right: Samples) -> float:
    """Return the share of samples that are not the mean."""
    samples, mean = mixed(left, right)
    return float((samples != mean).mean())


def noise(seed: int, level: float, count: int) -> Samples:
    return np.random.default_rng(seed).normal(0, level, count).astype(np.float32)


@pytest.mark.parametrize("gain", [0.7, 1.0, 1.3])
def test_the_louder_of_opposite_channels_is_taken(gain: float) -> None:
    left = voice(1)
    samples, _ = mixed(left, -gain * left)
    louder = -gain * left if gain > 1 else left
    sound = np.nonzero(np.abs(left) > 0.001)[0][0]
    assert (samples[sound + SECOND // 8 :] == louder[sound + SECOND // 8 :]).all()


def test_at_most_ten_milliseconds_of_an_inverted_beginning_are_lost() -> None:
    left = noise(1, 0.1, SECOND)
    assert (mixed(left, -left)[0][160:] == left[160:]).all()


def test_opposite_channels_with_noise_do_not_cancel() -> None:
    left = voice(2)
    noises = [noise(seed, left.std() / 10, len(left)) for seed in (3, 4)]
    samples, mean = mixed(left + noises[0], -left + noises[1])
    assert np.square(samples).sum() > 0.8 * np.square(left).sum() > 10 * np.square(mean).sum()


def test_channels_that_become_opposite_do_not_cancel_for_long() -> None:
    left = noise(5, 0.1, 2 * SECOND)
    right = np.concatenate((left[:SECOND], -left[SECOND:]))
    samples, _ = mixed(left, right)
    assert (samples[SECOND + SECOND // 2 :] == left[SECOND + SECOND // 2 :]).all()


def test_channels_that_become_equal_are_mixed_again() -> None:
    left = noise(6, 0.1, 2 * SECOND)
    right = np.concatenate((-left[:SECOND], 0.5 * left[SECOND:]))
    samples, mean = mixed(left, right)
    assert (samples[SECOND + SECOND // 2 :] == mean[SECOND + SECOND // 2 :]).all()


def test_a_pause_does_not_change_the_channel() -> None:
    speech = voice(7, 1.0)
    pause = noise(8, speech.std() / 30, SECOND), noise(9, speech.std() / 30, SECOND)
    left = np.concatenate((speech, pause[0], speech))
    right = np.concatenate((-speech, pause[1], -speech))
    assert (mixed(left, right)[0][SECOND:] == left[SECOND:]).all()


@examples(30)
@given(
    seed=st.integers(0, 1_000),
    gain=st.floats(0.2, 1.0),
    delay=st.integers(0, 30),
    level=st.floats(0.0, 0.05),
)
def test_usual_stereo_is_the_mean_exactly(seed: int, gain: float, delay: int, level: float) -> None:
    left = voice(seed, 1.0)
    right = gain * np.roll(left, delay)
    left, right = left + noise(seed, level, SECOND), right + noise(seed + 1, level, SECOND)
    samples, mean = mixed(left, right)
    assert (samples == mean).all()


@pytest.mark.parametrize("echo", [0.0, 0.1, 0.4])
def test_two_speakers_on_their_own_channels_are_mixed(echo: float) -> None:
    """Each channel holds an inverted echo of the other speaker, as on a telephone line."""
    one, two = voice(1), voice(2, pitch=190.0)
    silence = np.zeros_like(one)
    left, right = np.concatenate((one, silence, one)), np.concatenate((silence, two, two))
    heard = (left - echo * right).astype(np.float32), (right - echo * left).astype(np.float32)
    assert shares(*heard) == 0.0


def test_silence_and_offsets_decide_nothing() -> None:
    dither = (np.where(noise(1, 1, SECOND) > 0, 1, -1) / 32768).astype(np.float32)
    assert shares(dither, -dither) == 0.0
    offset: Samples = np.full(SECOND, 0.01, np.float32)
    assert shares(noise(1, 0.001, SECOND) + offset, noise(2, 0.001, SECOND) - offset) == 0.0


@examples(30)
@given(st.lists(st.integers(0, 30_000), max_size=12), st.sampled_from([8_000, 11_025, 16_000, 48_000]))
def test_chunks_do_not_change_the_mix(cuts: list[int], rate: int) -> None:
    left = (noise(1, 0.1, 30_000) * 32767).astype("<i2")
    right = np.concatenate((left[:4_000] // 2, -left[4_000:]))
    data = np.stack((left, right), axis=1).tobytes()
    encoding = Encoding(sample_rate=rate, channels=2)
    reader = SampleReader(encoding)
    places = [0, *sorted(4 * cut for cut in cuts), len(data)]
    pieces = [reader.read(data[start:end]) for start, end in pairwise(places)]
    whole = SampleReader(encoding).read(data)
    assert (np.concatenate(pieces) == whole).all()
    assert (whole[-1_000:] * 32768 == left[-1_000:]).all()
