"""Test that the samples of a stream do not depend on its chunks, whatever the encoding."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.clip import SAMPLE_RATE, Clip, Samples
from audio.codecs import Encoding, Format, SampleReader
from audio.decoder import PIECE, Decoder
from audio.errors import InvalidAudio, UnsupportedChannels
from tests.examples import examples

PCM16_STEP = 1 / 32768
Message = tuple[bytes, Encoding]

COMMON_RATES = [8_000, 16_000, 22_050, 24_000, 44_100, 48_000, 192_000]
encodings = st.builds(
    Encoding,
    st.sampled_from(Format),
    st.sampled_from(COMMON_RATES) | st.integers(8_000, 192_000),
    st.integers(1, 3),
)


def noise(frames: int, encoding: Encoding, seed: int = 0) -> bytes:
    """Bytes that stay sound if they are read from a wrong place on: without 0x40 no float32 is beyond 2."""
    data = np.random.default_rng(seed).integers(0, 256, frames * encoding.frame_bytes, np.uint8)
    return (data & 0xBF if encoding.format is Format.FLOAT32 else data).tobytes()


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Generate noise, often followed by a part of a frame."""
    encoding = draw(encodings)
    data = noise(draw(st.integers(0, 400)), encoding, draw(st.integers(0, 99)))
    return data + b"\x3c" * draw(st.integers(0, encoding.frame_bytes - 1)), encoding


def cut(stream: list[Message], size: int) -> Iterator[Message]:
    for data, encoding in stream:
        for at in range(0, len(data) or 1, size):
            yield data[at : at + size], encoding


def joined(stream: list[Message]) -> list[Message]:
    """Join adjacent messages of the same encoding."""
    groups = groupby(stream, key=lambda message: message[1])
    return [(b"".join(data for data, _ in group), encoding) for encoding, group in groups]


NO_SAMPLES = np.empty(0, np.float32)


def decoded(
    stream: list[Message], decoder: Decoder | None = None, nothing: Samples = NO_SAMPLES
) -> tuple[Samples, list[int]]:
    """Return all samples, checked to have no gaps, and the leftover bytes."""
    decoder = decoder or Decoder()
    clips: list[Clip] = []
    leftovers: list[int] = []

    def take(clip: Clip | None) -> None:
        if clip is not None:
            assert len(clip.samples) > 0
            assert clip.start == (clips[-1].end if clips else 0)
            clips.append(clip)
        assert decoder.position == (clips[-1].end if clips else 0)
        if decoder.leftover:
            leftovers.append(decoder.leftover)

    for data, encoding in stream:
        take(decoder.decode(data, encoding))
    take(decoder.flush())
    return np.concatenate([nothing, *(clip.samples for clip in clips)]), leftovers


@given(stream=st.lists(messages(), min_size=1, max_size=4), size=st.integers(1, 3) | st.integers(4, 1_000))
@examples(80)
def test_samples_do_not_depend_on_the_chunks(stream: list[Message], size: int) -> None:
    one_piece, leftovers = decoded(joined(stream))
    pieces, leftovers_of_pieces = decoded(list(cut(stream, size)))
    assert leftovers_of_pieces == leftovers
    if all(encoding.sample_rate == SAMPLE_RATE for _, encoding in stream):
        np.testing.assert_array_equal(pieces, one_piece)
    else:
        np.testing.assert_allclose(pieces, one_piece, rtol=0, atol=PCM16_STEP)


@given(stream=st.lists(messages(), min_size=1, max_size=5), size=st.integers(1, 1_000))
@examples(50)
def test_no_frame_is_lost_and_leftover_bytes_are_counted(stream: list[Message], size: int) -> None:
    """A stretch of n frames at one rate becomes floor(n * 16000 / rate + 1/2) samples."""
    expected = 0
    for rate, group in groupby(joined(stream), key=lambda message: message[1].sample_rate):
        frames = sum(len(data) // encoding.frame_bytes for data, encoding in group)
        expected += (2 * frames * SAMPLE_RATE + rate) // (2 * rate)
    samples, leftovers = decoded(list(cut(stream, size)))
    assert len(samples) == expected
    assert sum(leftovers) == sum(len(data) % encoding.frame_bytes for data, encoding in joined(stream))


@pytest.mark.parametrize("encoding", [Encoding(Format.PCMU, 8_000), Encoding(), Encoding(sample_rate=48_000)])
def test_long_chunk_is_returned_in_pieces(encoding: Encoding) -> None:
    data = (
        np.random.default_rng(1).integers(0, 256, 3 * PIECE * encoding.frame_bytes + 200, np.uint8).tobytes()
    )
    decoder = Decoder()
    clips = [decoder.decode(data, encoding)]
    while decoder.has_pending:
        clips.append(decoder.continue_decoding())
    clips.append(decoder.flush())
    pieces = np.concatenate([clip.samples for clip in clips if clip is not None])
    small, _ = decoded(list(cut([(data, encoding)], 4_000)))
    np.testing.assert_allclose(pieces, small, rtol=0, atol=PCM16_STEP)
    assert (
        max(len(clip.samples) for clip in clips if clip is not None) <= 2 * PIECE + 1_000
    )  # what the filter held is in it
    assert len(clips) == 5


@pytest.mark.parametrize("then", [Encoding(), Encoding(Format.PCMU, 8_000), Encoding(sample_rate=8_000)])
def test_pending_samples_precede_the_next_chunk(then: Encoding) -> None:
    first = np.random.default_rng(1).integers(0, 256, 2 * PIECE, np.uint8).tobytes()
    stream = [(first, Encoding(Format.PCMU, 8_000)), (bytes(4_000), then)]
    in_haste, _ = decoded(stream)
    in_order, _ = decoded(list(cut(stream, 4_000)))
    np.testing.assert_allclose(in_haste, in_order, rtol=0, atol=PCM16_STEP)


@given(
    format=st.sampled_from(Format),
    channels=st.integers(1, 8),
    frames=st.integers(0, 300),
    size=st.integers(1, 2_000),
)
@examples(40)
def test_at_16_khz_the_samples_are_the_clients_own(
    format: Format, channels: int, frames: int, size: int
) -> None:
    encoding = Encoding(format, SAMPLE_RATE, channels)
    data = noise(frames, encoding)
    samples, _ = decoded(list(cut([(data, encoding)], size)))
    np.testing.assert_array_equal(samples, SampleReader(encoding).read(data))


def test_a_message_of_less_than_a_sample_gives_no_clip_yet() -> None:
    decoder = Decoder()
    assert decoder.decode(b"", Encoding()) is None
    assert decoder.decode(b"\x00", Encoding()) is None
    clip = decoder.decode(b"\x40", Encoding())
    assert clip is not None
    assert clip.samples.tolist() == [0.5]


def test_an_equal_encoding_is_no_change() -> None:
    decoder = Decoder()
    decoder.decode(b"\x00", Encoding())
    clip = decoder.decode(b"\x40", Encoding(Format.PCM16, 16_000, 1))
    assert clip is not None
    assert decoder.leftover == 0


def test_a_change_of_rate_keeps_the_end_of_what_was_before() -> None:
    """A click in the last millisecond at 48 kHz is heard at its place, though 16 kHz follow."""
    click = np.zeros(4_800, "<i2")
    click[-24] = 30_000
    samples, _ = decoded([(click.tobytes(), Encoding(sample_rate=48_000)), (bytes(3_200), Encoding())])
    assert len(samples) == 3_200
    assert int(np.argmax(samples)) == 1_600 - 8


def test_a_change_of_format_at_the_same_rate_is_seamless() -> None:
    pcm16, float32 = Encoding(sample_rate=44_100), Encoding(Format.FLOAT32, 44_100)
    data = noise(8_000, pcm16)
    as_floats = (np.frombuffer(data, "<i2") / 32768).astype("<f4").tobytes()
    mixed, leftovers = decoded([(data[:8_000], pcm16), (as_floats[16_000:], float32)])
    whole, _ = decoded([(data, pcm16)])
    np.testing.assert_array_equal(mixed, whole)
    assert leftovers == []


def test_half_a_sample_at_the_end_is_counted() -> None:
    decoder = Decoder()
    decoder.decode(bytes(960 * 2 + 1), Encoding(sample_rate=48_000))
    assert decoder.leftover == 0
    clip = decoder.flush()
    assert clip is not None
    assert clip.end == 320
    assert decoder.leftover == 1
    assert decoder.flush() is None
    assert decoder.leftover == 0


def test_half_a_sample_before_a_change_is_counted() -> None:
    decoder = Decoder()
    decoder.decode(b"\x00\x00\x07", Encoding())
    clip = decoder.decode(b"\xff" * 4, Encoding(Format.PCMU))
    assert clip is not None
    assert (clip.start, clip.end) == (1, 5)
    assert decoder.leftover == 1
    decoder.decode(b"\xff" * 4, Encoding(Format.PCMU))
    assert decoder.leftover == 0


def test_stream_can_continue_after_a_flush() -> None:
    decoder = Decoder()
    encoding = Encoding(sample_rate=8_000)
    decoder.decode(noise(800, encoding), encoding)
    decoder.flush()
    assert decoder.position == 1_600
    decoder.decode(noise(800, encoding), encoding)
    decoder.flush()
    assert decoder.position == 3_200


def test_drain_returns_all_frames_and_keeps_half_a_sample() -> None:
    decoder = Decoder()
    encoding = Encoding(sample_rate=8_000)
    decoder.decode(bytes(801), encoding)
    clip = decoder.drain()
    assert clip is not None
    assert clip.end == 800
    assert decoder.leftover == 0
    decoder.decode(bytes(799), encoding)
    decoder.flush()
    assert (decoder.position, decoder.leftover) == (1_600, 0)


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_a_bad_message_changes_nothing(rate: int) -> None:
    good, other = Encoding(Format.FLOAT32, rate), Encoding(Format.FLOAT32, 24_000)
    data = noise(2_000, good)
    bad = np.array([0.1, np.nan, 0.2], "<f4").tobytes()
    decoder = Decoder()
    clips = [decoder.decode(data[:3_001], good)]
    for encoding in (good, other):
        with pytest.raises(InvalidAudio):
            decoder.decode(b"\x00" * 3 + bad if encoding is good else bad, encoding)
    clips += [decoder.decode(data[3_001:], good), decoder.flush()]
    samples = np.concatenate([clip.samples for clip in clips if clip is not None])
    np.testing.assert_array_equal(samples, decoded([(data, good)])[0])
    assert decoder.leftover == 0


@given(st.integers(0, 400), st.integers(0, 400), st.integers(1, 90))
def test_repeated_samples_are_skipped(before: int, repeated: int, size: int) -> None:
    repeated = min(repeated, before)
    data = noise(500, Encoding())
    decoder = Decoder()
    clips = [decoder.decode(data[: 2 * before], Encoding())]
    decoder.repeat(repeated)
    again = data[2 * (before - repeated) :]
    clips += [decoder.decode(again[at : at + size], Encoding()) for at in range(0, len(again), size)]
    samples = np.concatenate([clip.samples for clip in clips if clip is not None])
    np.testing.assert_array_equal(samples, decoded([(data, Encoding())])[0])
    assert decoder.position == 500


def test_stream_may_begin_at_a_later_position() -> None:
    clip = Decoder(position=1_000).decode(bytes(200), Encoding())
    assert clip is not None
    assert (clip.start, clip.end) == (1_000, 1_100)


@examples(50)
@given(st.lists(messages(), max_size=4), st.integers(1, 2_000))
def test_clips_marked_as_pcm16_are_exact(stream: list[Message], size: int) -> None:
    decoder = Decoder()
    clips = [decoder.decode(*message) for message in cut(stream, size)]
    for clip in [*clips, decoder.flush()]:
        if clip is not None and clip.is_pcm16:
            steps = clip.samples * 32768
            assert np.array_equal(steps, np.rint(steps))
            assert steps.min() >= -32768
            assert steps.max() <= 32767


@pytest.mark.parametrize("form", [Format.PCM16, Format.PCMU, Format.PCMA])
def test_pcm16_at_16_khz_is_marked_as_pcm16(form: Format) -> None:
    decoder = Decoder()
    clip = decoder.decode(bytes(64), Encoding(form))
    assert clip is not None
    assert clip.is_pcm16
    mixed = decoder.decode(bytes(64), Encoding(Format.FLOAT32))
    assert mixed is not None
    assert not mixed.is_pcm16


@given(
    stream=st.lists(messages(), min_size=1, max_size=3),
    channels=st.integers(1, 8),
    size=st.integers(1, 999),
)
@examples(50)
def test_channels_kept_apart_are_as_if_decoded_alone(stream: list[Message], channels: int, size: int) -> None:
    """The encoding may change but for the number of channels, and bytes may be cut inside a frame."""
    whole = [
        (noise(len(data) // encoding.frame_bytes, replace(encoding, channels=channels)), encoding)
        for data, encoding in stream
    ]
    together, leftovers = decoded(
        list(cut([(data, replace(encoding, channels=channels)) for data, encoding in whole], size)),
        Decoder(apart=channels),
        np.empty((0, channels), np.float32),
    )
    assert leftovers == []
    for channel in range(channels):
        own = []
        for data, encoding in whole:
            mono = replace(encoding, channels=1)
            frames = np.frombuffer(data, np.uint8).reshape(-1, channels, mono.frame_bytes)
            own.append((frames[:, channel].tobytes(), mono))
        alone, _ = decoded(list(cut(own, size)))
        np.testing.assert_allclose(together[:, channel], alone, rtol=0, atol=PCM16_STEP)


def test_number_of_channels_kept_apart_cannot_change() -> None:
    stereo, decoder = Encoding(channels=2), Decoder(apart=2)
    decoder.decode(noise(100, stereo) + b"\x01", stereo)
    for other in (Encoding(), Encoding(channels=3), Encoding(Format.PCMU, 8_000, 1)):
        with pytest.raises(UnsupportedChannels, match="keeps 2 channels apart"):
            decoder.decode(bytes(12), other)
    clip = decoder.decode(b"\x02\x03\x04", stereo)  # the frame that was begun is completed
    assert clip is not None
    np.testing.assert_array_equal(clip.samples, [[0x0201 / 32768, 0x0403 / 32768]])
    assert (clip.start, clip.end) == (100, 101)


@pytest.mark.parametrize("encoding", [Encoding(channels=8), Encoding(sample_rate=48_000, channels=8)])
def test_long_chunk_of_many_channels_is_returned_in_smaller_pieces(encoding: Encoding) -> None:
    data, decoder = noise(PIECE, encoding), Decoder(apart=8)
    clips = [decoder.decode(data, encoding)]
    while decoder.has_pending:
        clips.append(decoder.continue_decoding())
    clips.append(decoder.flush())
    assert max(clip.samples.size for clip in clips if clip is not None) <= PIECE + 8 * 1_000
