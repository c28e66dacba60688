"""Test that files of many containers, also damaged ones, become clips at 16 kHz."""

import io
import json
import struct
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from audio.clip import SAMPLE_RATE, Samples
from audio.errors import DamagedFile, InvalidAudio, UnreadableFile, UnsupportedSampleRate
from audio.files import PIECE, Info, decode_file, probe

CONTAINERS = Path(__file__).parents[3] / "shared" / "audio" / "containers"

CODECS = [
    ("wav", "pcm_s16le", 44_100, "stereo"),
    ("wav", "pcm_s24le", 96_000, "stereo"),
    ("wav", "pcm_f32le", 16_000, "mono"),
    ("wav", "pcm_mulaw", 8_000, "mono"),
    ("aiff", "pcm_s16be", 22_050, "mono"),
    ("flac", "flac", 48_000, "7.1"),
    ("mp3", "libmp3lame", 44_100, "stereo"),
    ("mp4", "aac", 44_100, "stereo"),
    ("mov", "alac", 44_100, "stereo"),
    ("adts", "aac", 32_000, "mono"),
    ("ogg", "libopus", 48_000, "mono"),
    ("webm", "libopus", 48_000, "stereo"),
    ("matroska", "flac", 16_000, "mono"),
]
LOSSLESS = {"pcm_s16le", "pcm_s24le", "pcm_s16be", "pcm_f32le", "flac", "alac"}


def tone(seconds: float, rate: int) -> Samples:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def encoded(container: str, codec: str, rate: int, layout: str, seconds: float = 3.0) -> bytes:
    """Return a file with a tone on all channels."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        mono = (tone(seconds, rate) * 32767).astype(np.int16)
        packed = np.repeat(mono, len(stream.layout.channels))[np.newaxis]
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        output.mux([*stream.encode(frame), *stream.encode(None)])
    return file.getvalue()


def wav(samples: NDArray[np.int16], rate: int = SAMPLE_RATE) -> bytes:
    """samples: (n,) or (n, channels)"""
    file = io.BytesIO()
    with wave.open(file, "wb") as output:
        output.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        output.setsampwidth(2)
        output.setframerate(rate)
        output.writeframes(samples.tobytes())
    return file.getvalue()


def noise(samples: int) -> NDArray[np.int16]:
    return np.random.default_rng(7).integers(-20_000, 20_000, samples, dtype=np.int16)


def decoded(data: bytes, start: float = 0.0, end: float | None = None) -> Samples:
    clips = list(decode_file(io.BytesIO(data), start=start, end=end))
    assert [clip.start for clip in clips] == [0, *(clip.end for clip in clips[:-1])][: len(clips)]
    return np.concatenate([np.empty(0, np.float32), *(clip.samples for clip in clips)])


def until_it_breaks(data: bytes) -> Samples:
    """Return the samples before DamagedFile."""
    pieces: list[Samples] = []
    with pytest.raises(DamagedFile, match="the file is damaged"):
        pieces.extend(clip.samples for clip in decode_file(io.BytesIO(data)))
    return np.concatenate(pieces)


@pytest.mark.parametrize(("container", "codec", "rate", "layout"), CODECS)
def test_every_container_gives_its_sound(container: str, codec: str, rate: int, layout: str) -> None:
    samples = decoded(encoded(container, codec, rate, layout))
    wanted = tone(3.0, SAMPLE_RATE)
    if codec in LOSSLESS:
        assert len(samples) == len(wanted)
        assert np.abs(samples - wanted)[800:-800].max() < 0.002
    assert abs(len(samples) - len(wanted)) < 0.05 * SAMPLE_RATE
    assert samples.dtype == np.float32
    assert np.abs(samples[SAMPLE_RATE : 2 * SAMPLE_RATE]).max() == pytest.approx(0.5, abs=0.03)


@settings(max_examples=10, deadline=None)
@given(rate=st.sampled_from([8_000, 11_025, 16_000, 22_050, 44_100, 48_000]), count=st.integers(1, 60_000))
def test_the_length_is_exact(rate: int, count: int) -> None:
    assert len(decoded(wav(noise(count), rate))) == (count * SAMPLE_RATE * 2 + rate) // (2 * rate)


def test_sound_at_16_khz_is_untouched() -> None:
    samples = noise(50_000)
    assert (decoded(wav(samples)) * 32768 == samples).all()


def test_channels_become_their_mean() -> None:
    frames = noise(8 * 20_000).reshape(-1, 8)
    np.testing.assert_allclose(decoded(wav(frames)), frames.mean(axis=1) / 32768, atol=1e-7)


def test_clips_last_about_a_second_each() -> None:
    clips = list(decode_file(io.BytesIO(wav(noise(10 * 44_100), 44_100))))
    assert all(PIECE <= len(clip.samples) < 2 * PIECE for clip in clips[:-1])
    assert len(clips) > 8


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 40_000), st.integers(0, 40_000))
def test_a_range_is_a_slice_of_the_whole(first: int, length: int) -> None:
    data = wav(noise(32_000))
    part = decoded(data, first / SAMPLE_RATE, (first + length) / SAMPLE_RATE)
    assert (part == decoded(data)[first : first + length]).all()


@pytest.mark.parametrize(("start", "end"), [(-1.0, None), (2.0, 1.0)])
def test_a_range_that_is_none_is_refused_at_once(start: float, end: float | None) -> None:
    with pytest.raises(ValueError, match="range"):
        decode_file(io.BytesIO(), start=start, end=end)


class Counting(io.BytesIO):
    """Count the bytes that were read of a file."""

    furthest = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.furthest = max(self.furthest, self.tell())
        return data


def test_no_more_of_a_file_is_read_than_was_asked_for() -> None:
    file = Counting(wav(noise(60 * SAMPLE_RATE)))
    clips = decode_file(file)
    next(clips)
    assert file.furthest < 200_000
    assert sum(len(clip.samples) for clip in decode_file(Counting(file.getvalue()), end=2.0)) == 32_000


def test_a_file_that_cannot_seek_is_read() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: object) -> int:
            raise OSError("a pipe")

    data = encoded("ogg", "libopus", 48_000, "mono")
    assert sum(len(clip.samples) for clip in decode_file(Pipe(data))) == len(decoded(data))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        bytes(10_000),
        b"Good morning and welcome to the program.\n" * 50,
        wav(noise(0)),
        encoded("flac", "flac", 16_000, "mono")[:60],
        encoded("mp4", "aac", 44_100, "mono")[:5_000],  # its index is at the end
    ],
    ids=["empty", "a byte", "zeros", "text", "no samples", "half a header", "half an mp4"],
)
@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".txt"])
def test_what_is_no_sound_is_refused_whatever_its_name(data: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"file{suffix}"
    path.write_bytes(data)
    with pytest.raises(UnreadableFile) as raised:
        list(decode_file(path))
    assert isinstance(raised.value, InvalidAudio)
    assert raised.value.code == "invalid_audio"


def test_a_video_without_sound_is_refused() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream = output.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        output.mux([*stream.encode(picture), *stream.encode(None)])
    with pytest.raises(UnreadableFile, match="no audio stream"):
        decoded(file.getvalue())
    with pytest.raises(UnreadableFile, match="no audio stream"):
        probe(io.BytesIO(file.getvalue()))


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(decode_file(tmp_path / "none.wav"))


@pytest.mark.parametrize("playlist", ["#EXTM3U\n#EXTINF:1,\n{}\n", "ffconcat version 1.0\nfile '{}'\n"])
def test_a_list_of_files_opens_none_of_them(playlist: str, tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_bytes(wav(noise(16_000)))
    path = tmp_path / "list.m3u8"
    path.write_text(playlist.format(tmp_path / "secret.wav"))
    with pytest.raises(UnreadableFile):
        list(decode_file(path))


def test_a_name_is_a_path_and_no_address(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(noise(16_000)))
    with pytest.raises(FileNotFoundError):
        list(decode_file(f"file:{tmp_path / 'a.wav'}"))


@pytest.mark.parametrize("said", [0, 0xFFFFFFFF, 0x7FFFFFFF, 10_000_000])
def test_a_wav_that_does_not_know_its_length_is_read_to_its_end(said: int) -> None:
    data = bytearray(wav(noise(40_000)))
    data[4:8] = data[40:44] = struct.pack("<I", said)
    assert len(decoded(bytes(data))) == 40_000


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [("flac", "flac", 16_000), ("webm", "libopus", 48_000), ("mp3", "libmp3lame", 44_100)],
)
def test_a_file_cut_short_gives_what_is_there_and_then_says_so(container: str, codec: str, rate: int) -> None:
    data = encoded(container, codec, rate, "mono", seconds=6.0)
    assert 2.0 < len(until_it_breaks(data[: len(data) // 2])) / SAMPLE_RATE < 4.0


def test_a_wav_cut_short_gives_what_is_there() -> None:
    samples = noise(40_000)
    assert (decoded(wav(samples)[: 44 + 2 * 15_000]) * 32768 == samples[:15_000]).all()


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [("flac", "flac", 16_000), ("adts", "aac", 44_100), ("mp3", "libmp3lame", 44_100)],
)
def test_garbage_in_the_middle_costs_little_more_than_itself(container: str, codec: str, rate: int) -> None:
    data = bytearray(encoded(container, codec, rate, "mono", seconds=6.0))
    middle, length = len(data) // 2, len(data) // 5
    data[middle : middle + length] = np.random.default_rng(3).bytes(length)
    assert 4.0 < len(until_it_breaks(bytes(data))) / SAMPLE_RATE < 5.0


def test_nan_and_infinity_are_left_out() -> None:
    data = bytearray(encoded("wav", "pcm_f32le", 16_000, "mono"))
    at = data.index(b"data") + 8 + 4 * 24_000
    data[at : at + 16_000] = struct.pack("<2f", float("nan"), float("inf")) * 2_000
    samples = until_it_breaks(bytes(data))
    assert 40_000 < len(samples) < 48_000
    assert np.isfinite(samples).all()


def test_a_rate_of_nowhere_is_refused() -> None:
    with pytest.raises(UnsupportedSampleRate):
        decoded(wav(noise(100), rate=100))


@pytest.mark.parametrize("reader", [decoded, lambda data: probe(io.BytesIO(data))])
def test_tags_in_no_known_encoding_are_no_hindrance(reader: Callable[[bytes], object]) -> None:
    data = encoded("mp3", "libmp3lame", 44_100, "mono")
    title = b"TIT2" + (5).to_bytes(4, "big") + b"\0\0" + b"\x03\xff\xfe\xe9\x80"  # said to be UTF-8
    end = 10 + int.from_bytes(data[6:10], "big") if data.startswith(b"ID3") else 0
    reader(b"ID3\x04\0\0" + len(title).to_bytes(4, "big") + title + data[end:])


def test_a_probe_tells_what_a_file_says_of_itself() -> None:
    assert probe(io.BytesIO(encoded("wav", "pcm_s16le", 44_100, "stereo"))) == Info(
        3.0, "pcm_s16le", 44_100, 2
    )
    info = probe(io.BytesIO(encoded("webm", "libopus", 48_000, "stereo")))
    assert (info.codec, info.sample_rate, info.channels) == ("opus", 48_000, 2)
    assert info.seconds == pytest.approx(3.0, abs=0.02)


@pytest.mark.skipif(not CONTAINERS.is_dir(), reason="../shared/audio/containers is absent")
def test_real_files_of_every_kind_are_read() -> None:
    rows = [json.loads(line) for line in (CONTAINERS / "manifest.jsonl").read_text().splitlines()]
    assert rows
    for row in rows:
        seconds = sum(clip.seconds for clip in decode_file(CONTAINERS / row["file"]))
        assert seconds == pytest.approx(row["duration_s"], abs=0.05), row["file"]
