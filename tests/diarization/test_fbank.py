"""Compare the filter bank with values of kaldi-native-fbank 1.x, and test its properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.clip import Samples
from diarization.fbank import BINS, fbank, frames_of
from tests.examples import examples

# Of every eighth bin of the frames 0 and 40 of `sweep`, by kaldi-native-fbank without dither.
FIRST = [-7.3934, 2.7708, -7.2173, -13.0389, -15.9424, -15.9424, -15.9424, -15.9424, -15.9424, -15.9424]
LATER = [-12.0931, -15.9424, -15.6888, -15.9424, -14.3270, -10.8549, 5.2051, -9.6395, -14.5504, -15.9424]


def sweep() -> Samples:
    seconds = np.arange(8_000) / 16_000
    tone: Samples = (0.5 * np.sin(2 * np.pi * (200 + 3_000 * seconds) * seconds)).astype(np.float32)
    return tone


def test_features_are_those_of_kaldi() -> None:
    features = fbank(sweep())
    assert features.shape == (48, BINS)
    assert features.dtype == np.float32
    assert features[0, ::8] == pytest.approx(FIRST, abs=2e-3)
    assert features[40, ::8] == pytest.approx(LATER, abs=2e-3)


def test_twice_the_amplitude_adds_the_logarithm_of_four() -> None:
    noise = np.random.default_rng(1).standard_normal(4_000).astype(np.float32) * np.float32(0.1)
    assert fbank(2 * noise) - fbank(noise) == pytest.approx(np.log(4), abs=1e-3)


def test_constant_offset_does_not_matter() -> None:
    noise = np.random.default_rng(2).standard_normal(4_000).astype(np.float32) * np.float32(0.1)
    assert fbank(noise + np.float32(0.25)) == pytest.approx(fbank(noise), abs=1e-2)


@examples(30)
@given(length=st.integers(0, 2_000))
def test_each_frame_lies_wholly_in_the_samples(length: int) -> None:
    features = fbank(np.zeros(length, np.float32))
    assert len(features) == frames_of(length)
    assert (len(features) - 1) * 160 + 400 <= length or not len(features)
    assert len(features) * 160 + 400 > length
    assert np.all(features == np.log(np.finfo(np.float32).eps))
