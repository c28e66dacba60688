"""Test that encoded audio is decoded again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.clip import SAMPLE_RATE, Samples
from audio.codecs import Encoding, Format
from audio.decoder import Decoder
from audio.encoder import encode

FORMATS = list(Format)


def read(data: bytes, encoding: Encoding) -> Samples:
    decoder = Decoder()
    clips = [decoder.decode(data, encoding), decoder.flush()]
    return np.concatenate([clip.samples for clip in clips if clip is not None])


@given(st.binary(max_size=400), st.sampled_from([Format.PCMU, Format.PCMA]))
def test_g711_comes_back_as_the_same_levels(data: bytes, form: Format) -> None:
    encoding = Encoding(form, SAMPLE_RATE)
    samples = np.concatenate([read(data, encoding), np.zeros(1, np.float32)]) if data else np.zeros(1)
    again = read(encode(samples.astype(np.float32), encoding), encoding)
    assert np.abs(again - samples).max() <= (0 if form is Format.PCMU else 8 / 32768)  # A-law has no 0


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=100), st.sampled_from(FORMATS))
def test_a_sample_becomes_the_nearest_level(values: list[float], form: Format) -> None:
    samples = np.array(values, np.float32)
    again = read(encode(samples, Encoding(form)), Encoding(form))
    tolerance = {Format.PCM16: 1 / 32768, Format.FLOAT32: 0.0}.get(form, 0.0)
    if tolerance or form is Format.FLOAT32:
        assert np.abs(again - samples).max() <= tolerance
    else:
        levels = read(bytes(range(256)), Encoding(form))
        assert np.abs(again - samples).max() <= np.abs(samples[:, None] - levels).min(axis=1).max() + 1e-6


@pytest.mark.parametrize("rate", [8_000, 24_000, 44_100, 48_000])
def test_another_rate_lasts_as_long_and_sounds_the_same(rate: int) -> None:
    tone = (0.5 * np.sin(np.arange(SAMPLE_RATE) * 2 * np.pi * 440 / SAMPLE_RATE)).astype(np.float32)
    encoding = Encoding(Format.PCM16, rate)
    data = encode(tone, encoding)
    assert len(data) == 2 * rate
    middle = slice(2_000, -2_000)
    assert np.abs(read(data, encoding)[middle] - tone[middle]).max() < 0.002


def test_several_channels_say_the_same() -> None:
    samples = np.array([0.5, -0.25], np.float32)
    stereo = encode(samples, Encoding(Format.PCM16, SAMPLE_RATE, 2))
    assert np.frombuffer(stereo, "<i2").tolist() == [16384, 16384, -8192, -8192]
