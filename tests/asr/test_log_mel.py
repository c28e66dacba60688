"""Compare log-mel features with those of transformers."""

from typing import Any

import numpy as np
import pytest
import transformers

from asr.log_mel import HOP_SAMPLES, LogMel
from audio.clip import SAMPLE_RATE
from tests.asr import tiny

untyped: Any = transformers  # It is typed in part.
WHOLE = 30 * SAMPLE_RATE


@pytest.mark.parametrize("bins", [80, 128])
@pytest.mark.parametrize("samples", [1, 100, 1_600, 5 * SAMPLE_RATE + 7, WHOLE - 10, WHOLE])
def test_features_equal_those_of_transformers(bins: int, samples: int) -> None:
    clip = tiny.babble(samples / SAMPLE_RATE).samples
    extractor = untyped.WhisperFeatureExtractor(feature_size=bins)
    expected = extractor(clip, sampling_rate=SAMPLE_RATE, return_tensors="np").input_features[0]
    features = LogMel(bins).features(clip, 3000)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-4)


def test_fewer_frames_equal_those_of_a_shorter_window() -> None:
    clip = tiny.babble(2).samples
    extractor = untyped.WhisperFeatureExtractor()
    expected = extractor(
        clip,
        sampling_rate=SAMPLE_RATE,
        return_tensors="np",
        padding="max_length",
        max_length=300 * HOP_SAMPLES,
    ).input_features[0]
    np.testing.assert_allclose(LogMel(80).features(clip, 300), expected, rtol=0, atol=1e-4)


def test_silence_has_the_least_value() -> None:
    features = LogMel(80).features(tiny.silence(1).samples, 300)
    assert np.unique(features) == pytest.approx([-1.5])
