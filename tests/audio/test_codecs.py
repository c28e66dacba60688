"""Test that bytes become samples, however they are cut, and that invalid audio is refused."""

from itertools import cycle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio.codecs import MAX_CHANNELS, Encoding, Format, SampleReader
from audio.errors import (
    AudioError,
    InvalidAudio,
    UnsupportedChannels,
    UnsupportedEncoding,
    UnsupportedFormat,
    UnsupportedSampleRate,
)

FLOAT32 = Encoding(Format.FLOAT32)


def levels(data: bytes, format: Format) -> list[int]:
    """Return the samples in steps of PCM16."""
    return [round(sample * 32768) for sample in SampleReader(Encoding(format)).read(data).tolist()]


def floats(*samples: float) -> bytes:
    return np.array(samples, "<f4").tobytes()


# Encoding


def test_by_default_sound_is_pcm16_at_16_khz_in_mono() -> None:
    assert Encoding() == Encoding(Format.PCM16, 16_000, 1)


@pytest.mark.parametrize("name", ["pcm16", "float32", "pcmu", "pcma"])
def test_a_format_may_come_by_its_name(name: Any) -> None:
    assert Encoding(name).format is Format(name)


@pytest.mark.parametrize("rate", [8000, 8001, 16000, 44100, 192000])
def test_rates_from_8_to_192_khz_are_supported(rate: int) -> None:
    assert Encoding(sample_rate=rate).sample_rate == rate


BAD_RATES = [
    0,
    -1,
    7999,
    192_001,
    10**9,
    10**100,
    1e9,
    16000.5,
    float("nan"),
    "16000",
    True,
    None,
    [16000],
    {},
]


@pytest.mark.parametrize("rate", BAD_RATES)
def test_no_other_rate_is_supported(rate: Any) -> None:
    with pytest.raises(UnsupportedSampleRate) as error:
        Encoding(sample_rate=rate)
    assert (error.value.code, error.value.param) == ("unsupported_sample_rate", "sample_rate")


@pytest.mark.parametrize("channels", [0, -1, MAX_CHANNELS + 1, 300, 1.5, "2", True, None, [1]])
def test_no_other_number_of_channels_is_supported(channels: Any) -> None:
    with pytest.raises(UnsupportedChannels) as error:
        Encoding(channels=channels)
    assert (error.value.code, error.value.param) == ("invalid_value", "channels")


@pytest.mark.parametrize("name", ["", "pcm24", "opus", None, 16, True, ["pcm16"], {"pcm16": 1}])
def test_no_other_format_is_supported(name: Any) -> None:
    with pytest.raises(UnsupportedFormat) as error:
        Encoding(name)
    assert (error.value.code, error.value.param) == ("invalid_value", "format")


def test_whole_floats_and_capitals_mean_the_same_encoding() -> None:
    fields: Any = {"format": " PCM16 ", "sample_rate": 22050.0, "channels": 2.0}
    encoding = Encoding(**fields)
    assert encoding == Encoding(Format.PCM16, 22_050, 2)
    assert [type(value) for value in (encoding.sample_rate, encoding.channels)] == [int, int]


def test_a_client_cannot_make_an_error_long() -> None:
    huge: Any = "x" * 1_000_000
    for fields in ({"format": huge}, {"sample_rate": huge}, {"channels": huge}):
        with pytest.raises(UnsupportedEncoding) as error:
            Encoding(**fields)
        assert len(str(error.value)) < 200


def test_errors_share_one_base_class() -> None:
    for error in (UnsupportedFormat, UnsupportedSampleRate, UnsupportedChannels, InvalidAudio):
        assert issubclass(error, AudioError)


# the formats


def test_pcm16_is_little_endian_and_full_scale_is_one() -> None:
    samples = SampleReader(Encoding()).read(bytes.fromhex("0000 0100 ff7f 0080 ffff"))
    assert samples.dtype == np.float32
    assert samples.tolist() == [0.0, 1 / 32768, 32767 / 32768, -1.0, -1 / 32768]


def test_float32_is_taken_as_it_is() -> None:
    assert SampleReader(FLOAT32).read(floats(0.0, -0.25, 1.0, -1.0)).tolist() == [0.0, -0.25, 1.0, -1.0]


def test_float32_beyond_full_scale_is_clipped() -> None:
    assert SampleReader(FLOAT32).read(floats(1.5, -2.0, 3e38)).tolist() == [1.0, -1.0, 1.0]


def test_mu_law_has_the_levels_of_the_recommendation() -> None:
    """G.711 table 2a/2b: 8031 at the top of 14 bits, the step doubles from segment to segment."""
    assert levels(bytes.fromhex("80 00 ff 7f fe 7e f0 ef"), Format.PCMU) == [
        32124,
        -32124,
        0,
        0,
        8,
        -8,
        120,
        132,
    ]


def test_a_law_has_the_levels_of_the_recommendation() -> None:
    """G.711 table 1a/1b: 4032 at the top of 13 bits; there is no zero."""
    assert levels(bytes.fromhex("aa 2a d5 55 d4 c5 f5"), Format.PCMA) == [
        32256,
        -32256,
        8,
        -8,
        24,
        264,
        528,
    ]


@pytest.mark.parametrize(("format", "function"), [(Format.PCMU, "ulaw2lin"), (Format.PCMA, "alaw2lin")])
def test_every_code_means_what_it_means_to_audioop(format: Format, function: str) -> None:
    audioop = pytest.importorskip("audioop", reason="audioop left the standard library in 3.13")
    codes = bytes(range(256))
    expected = np.frombuffer(getattr(audioop, function)(codes, 2), "=i2")
    assert levels(codes, format) == expected.tolist()


def test_channels_become_their_mean() -> None:
    reader = SampleReader(Encoding(Format.FLOAT32, channels=2))
    assert reader.read(floats(0.5, 0.25, -1.0, 1.0, 1.0, 1.0)).tolist() == [0.375, 0.0, 1.0]


def test_eight_channels_become_their_mean() -> None:
    reader = SampleReader(Encoding(Format.FLOAT32, channels=8))
    assert reader.read(floats(*np.arange(8) / 8)).tolist() == [0.4375]


# cuts


@given(
    format=st.sampled_from(Format),
    channels=st.integers(1, MAX_CHANNELS),
    frames=st.integers(0, 60),
    stub=st.integers(0, 31),
    sizes=st.lists(st.integers(0, 40), min_size=1).filter(any),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None)
def test_any_cut_gives_the_same_samples(
    format: Format, channels: int, frames: int, stub: int, sizes: list[int], seed: int
) -> None:
    encoding = Encoding(format, channels=channels)
    stub %= encoding.frame_bytes
    rng = np.random.default_rng(seed)
    if format is Format.FLOAT32:
        data = rng.uniform(-1.2, 1.2, frames * channels + 8).astype("<f4").tobytes()
    else:
        data = rng.bytes(frames * encoding.frame_bytes + stub)
    data = data[: frames * encoding.frame_bytes + stub]
    whole, cut = SampleReader(encoding), SampleReader(encoding)
    pieces, at = [], 0
    for size in cycle(sizes):
        pieces.append(cut.read(data[at : at + size]))
        at += size
        if at >= len(data):
            break
    expected = whole.read(data)
    np.testing.assert_array_equal(np.concatenate(pieces), expected)
    assert len(expected) == frames
    assert len(cut.carry) == len(whole.carry) == stub
    assert np.all(np.abs(expected) <= 1)


def test_bytes_that_wait_can_be_dropped() -> None:
    reader = SampleReader(Encoding())
    reader.read(b"\x00\x00\x07")
    assert reader.discard() == 1
    assert reader.carry == b""
    assert reader.read(b"\x00\x40").tolist() == [0.5]


# what is not sound


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinity_are_refused_wherever_they_stand(bad: float) -> None:
    for samples in ([bad], [bad, 0.0, 0.0], [0.0, bad, 0.0], [0.0, 0.0, bad]):
        with pytest.raises(InvalidAudio) as error:
            SampleReader(FLOAT32).read(floats(*samples))
        assert (error.value.code, error.value.param) == ("invalid_audio", "audio")


def test_invalid_message_is_refused_as_a_whole() -> None:
    reader = SampleReader(FLOAT32)
    half = floats(0.5)
    assert len(reader.read(half[:3])) == 0
    with pytest.raises(InvalidAudio):
        reader.read(half[3:] + floats(0.25, float("nan"), 0.125) + b"\x01\x02")
    assert len(reader.carry) == 3
    assert reader.read(half[3:]).tolist() == [0.5]
