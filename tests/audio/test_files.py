"""Test that files of many containers, also damaged ones, become clips at 16 kHz."""

import io
import itertools
import json
import struct
import tempfile
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.stream import Disposition
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from audio.clip import SAMPLE_RATE, Samples
from audio.errors import InvalidAudio, NoAudio, UnknownTrack, UnreadableFile, UnsupportedSampleRate
from audio.files import PIECE, Track, decode_file, probe
from audio.track_clock import MAX_GAP
from tests.examples import examples

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


def mono_frame(samples: Samples, rate: int, layout: str = "mono") -> AudioFrame:
    """Return a frame with the samples on all channels of the layout."""
    channels = AudioLayout(layout).nb_channels
    packed = np.repeat((samples * 32767).astype(np.int16), channels)[np.newaxis]
    frame = AudioFrame.from_ndarray(packed, format="s16", layout=layout)
    frame.sample_rate, frame.pts = rate, 0
    return frame


def encoded(container: str, codec: str, rate: int, layout: str, seconds: float = 3.0) -> bytes:
    """Return a file with a tone on all channels."""
    return muxed(container, codec, rate, [tone(seconds, rate)], layout=layout)


def muxed(
    container: str,
    codec: str,
    rate: int,
    sounds: Sequence[Samples],
    *,
    layout: str = "mono",
    shift: Callable[[float], float] = lambda time: time,
    video_seconds: float = 0.0,
    options: dict[str, str] | None = None,
    quality: bool = False,
) -> bytes:
    """Return a file with an audio track for each sound, and a video.

    shift: the new timestamp of a packet of audio, in seconds
    quality: whether the bitrate varies, so that every frame has the same quality
    """
    with (
        tempfile.NamedTemporaryFile() as file,  # an mp4 with its index in front must be read again
        av.open(file.name, "w", format=container, container_options=options or {}) as output,
    ):
        video = (
            output.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
            if video_seconds
            else None
        )
        tracks = [output.add_stream(codec, rate=rate, layout=layout) for _ in sounds]
        packets: list[av.Packet[Any]] = []
        if video is not None:
            for _ in range(round(video_seconds * 10)):
                picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
                packets += video.encode(picture)
            packets += video.encode(None)
        for number, (track, sound) in enumerate(zip(tracks, sounds, strict=True)):
            assert isinstance(track, av.AudioStream)
            if quality:
                track.codec_context.qscale = True
                track.codec_context.options = {"global_quality": "236"}
            if len(tracks) > 1:
                track.metadata.update(language=("fra", "eng")[number], title=f"Track {number}")
                track.disposition = Disposition.default if number == 1 else Disposition(0)
            for packet in [*track.encode(mono_frame(sound, rate, layout)), *track.encode(None)]:
                if packet.pts is not None and packet.time_base is not None:
                    later = round(shift(float(packet.pts * packet.time_base)) / packet.time_base) - packet.pts
                    packet.pts += later
                    packet.dts = packet.pts
                packets.append(packet)
        for packet in packets:
            output.mux(packet)
        output.close()
        return Path(file.name).read_bytes()


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


def with_warnings(data: bytes) -> tuple[Samples, list[str]]:
    """Return the samples and the warnings."""
    warnings: list[str] = []
    clips = list(decode_file(io.BytesIO(data), on_warning=warnings.append))
    return np.concatenate([clip.samples for clip in clips]), warnings


def sounding(samples: Samples) -> list[Any]:
    """Return the start and end of each sound, in seconds to a tenth; silence lasts at least 0.2 s."""
    loud = np.abs(samples[: len(samples) // 1_600 * 1_600]).reshape(-1, 1_600).max(axis=1) > 0.1
    places = np.nonzero(loud)[0]
    cuts = [0, *(np.nonzero(np.diff(places) > 2)[0] + 1), len(places)]
    return [(places[a] / 10, (places[b - 1] + 1) / 10) for a, b in itertools.pairwise(cuts)]


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


@examples(10)
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


@examples(10)
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
        b"x",
        bytes(10_000),
        b"Good morning and welcome to the program.\n" * 50,
        encoded("flac", "flac", 16_000, "mono")[:60],
        encoded("mp4", "aac", 44_100, "mono")[:5_000],  # its index is at the end
    ],
    ids=["a byte", "zeros", "text", "half a header", "half an mp4"],
)
@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".txt"])
def test_what_is_no_sound_is_refused_whatever_its_name(data: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"file{suffix}"
    path.write_bytes(data)
    with pytest.raises(UnreadableFile) as raised:
        list(decode_file(path))
    assert isinstance(raised.value, InvalidAudio)
    assert raised.value.code == "invalid_audio"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        wav(noise(0)),
        wav(noise(0)) + wav(noise(0)),
        encoded("webm", "libopus", 48_000, "mono")[:110],
        encoded("ogg", "libopus", 48_000, "mono")[:100],
        muxed("matroska", "flac", 16_000, [], video_seconds=1.0),
        muxed("mp4", "aac", 16_000, [], video_seconds=1.0),
    ],
    ids=["empty", "wav header", "two wav headers", "webm header", "ogg header", "silent mkv", "silent mp4"],
)
@pytest.mark.parametrize("reader", [decoded, lambda data: probe(io.BytesIO(data))])
def test_a_file_without_audio_has_one_error(data: bytes, reader: Callable[[bytes], object]) -> None:
    with pytest.raises(NoAudio, match=r"^The file contains no audio\.$") as raised:
        reader(data)
    assert raised.value.code == "audio_too_short"


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
    ("container", "codec", "rate", "warning"),
    [
        ("flac", "flac", 16_000, "The file is incomplete: "),
        ("mp3", "libmp3lame", 44_100, "The file is incomplete: "),
        ("matroska", "libopus", 48_000, "The file may be incomplete: it declares 6.0 s"),
    ],
)
def test_a_truncated_file_is_read_with_a_warning(container: str, codec: str, rate: int, warning: str) -> None:
    data = encoded(container, codec, rate, "mono", seconds=6.0)
    samples, warnings = with_warnings(data[: len(data) // 2])
    assert 2.0 < len(samples) / SAMPLE_RATE < 4.0
    assert any(each.startswith(warning) for each in warnings)


def test_a_truncated_mp4_is_read_with_a_warning() -> None:
    data = muxed("mp4", "aac", 44_100, [tone(6.0, 44_100)], options={"movflags": "faststart"})
    samples, warnings = with_warnings(data[: len(data) * 2 // 3])
    assert 2.0 < len(samples) / SAMPLE_RATE < 5.0
    assert any(each.startswith("The file is incomplete: ") for each in warnings)


@pytest.mark.parametrize(("container", "codec", "rate", "layout"), CODECS)
def test_an_intact_file_has_no_warning(container: str, codec: str, rate: int, layout: str) -> None:
    assert with_warnings(encoded(container, codec, rate, layout))[1] == []


def quiet_then_loud(rate: int, seconds: float) -> bytes:
    """Return an mp3 whose length FFmpeg overestimates: its bitrate varies, begins low and is not declared."""
    half = round(seconds * rate / 2)
    loud = np.random.default_rng(1).uniform(-0.5, 0.5, half).astype(np.float32)
    sound = np.concatenate((np.zeros(half, np.float32), loud))
    options = {"write_xing": "0", "id3v2_version": "0"}
    return muxed("mp3", "libmp3lame", rate, [sound], options=options, quality=True)


def test_a_gap_in_an_mp4_is_no_warning() -> None:
    data = muxed(
        "mp4", "aac", 16_000, [tone(4.0, 16_000)], shift=lambda time: time + (20 if time >= 2 else 0)
    )
    samples, warnings = with_warnings(data)
    assert len(samples) / SAMPLE_RATE == pytest.approx(24.0, abs=0.2)
    assert warnings == []


def test_an_estimated_length_is_no_warning() -> None:
    data = quiet_then_loud(16_000, 20.0)
    info = probe(io.BytesIO(data))
    assert info.is_estimate
    assert info.seconds is not None
    assert info.seconds > 25
    samples, warnings = with_warnings(data)
    assert len(samples) / SAMPLE_RATE == pytest.approx(20.0, abs=0.5)
    assert warnings == []


def test_a_video_longer_than_its_sound_is_intact() -> None:
    data = muxed("matroska", "flac", 16_000, [tone(2.0, 16_000)], video_seconds=9.0)
    samples, warnings = with_warnings(data)
    assert (len(samples), warnings) == (2 * SAMPLE_RATE, [])


def test_a_tag_between_joined_files_is_no_damage() -> None:
    data = encoded("mp3", "libmp3lame", 44_100, "mono") * 6  # each begins with a tag
    samples, warnings = with_warnings(data)
    assert len(samples) / SAMPLE_RATE == pytest.approx(18.0, abs=0.5)
    assert warnings == []


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
    samples, warnings = with_warnings(bytes(data))
    assert 4.0 < np.count_nonzero(samples) / SAMPLE_RATE < 5.0
    assert warnings


def test_nan_and_infinity_become_silence() -> None:
    data = bytearray(encoded("wav", "pcm_f32le", 16_000, "mono"))
    at = data.index(b"data") + 8 + 4 * 24_000
    data[at : at + 16_000] = struct.pack("<2f", float("nan"), float("inf")) * 2_000
    samples, warnings = with_warnings(bytes(data))
    assert len(samples) == 3 * SAMPLE_RATE
    assert np.isfinite(samples).all()
    assert "(NaN or infinity)" in warnings[0]


def test_a_rate_of_nowhere_is_refused() -> None:
    with pytest.raises(UnsupportedSampleRate):
        decoded(wav(noise(100), rate=100))


@pytest.mark.parametrize("reader", [decoded, lambda data: probe(io.BytesIO(data))])
def test_tags_in_no_known_encoding_are_no_hindrance(reader: Callable[[bytes], object]) -> None:
    data = encoded("mp3", "libmp3lame", 44_100, "mono")
    title = b"TIT2" + (5).to_bytes(4, "big") + b"\0\0" + b"\x03\xff\xfe\xe9\x80"  # said to be UTF-8
    end = 10 + int.from_bytes(data[6:10], "big") if data.startswith(b"ID3") else 0
    reader(b"ID3\x04\0\0" + len(title).to_bytes(4, "big") + title + data[end:])


def test_a_probe_describes_the_file() -> None:
    info = probe(io.BytesIO(encoded("wav", "pcm_s16le", 44_100, "stereo")))
    assert (info.seconds, info.is_estimate) == (3.0, False)
    assert info.tracks == (info.track,) == (Track(0, None, None, False, "pcm_s16le", 44_100, 2),)
    info = probe(io.BytesIO(encoded("webm", "libopus", 48_000, "stereo")))
    assert (info.track.codec, info.track.sample_rate, info.track.channels) == ("opus", 48_000, 2)
    assert info.seconds == pytest.approx(3.0, abs=0.02)


# times


def test_a_gap_between_timestamps_is_silence() -> None:
    data = muxed(
        "webm", "libopus", 48_000, [tone(4.0, 48_000)], shift=lambda time: time + (20 if time >= 2 else 0)
    )
    samples, warnings = with_warnings(data)
    assert sounding(samples) == [(0.0, pytest.approx(2.0, abs=0.11)), (22.0, pytest.approx(24.0, abs=0.11))]
    assert warnings == []


@pytest.mark.parametrize(("container", "codec"), [("matroska", "flac"), ("mp4", "aac"), ("mpegts", "aac")])
def test_audio_that_begins_after_the_video_is_late(container: str, codec: str) -> None:
    data = muxed(
        container, codec, 16_000, [tone(2.0, 16_000)], shift=lambda time: time + 3, video_seconds=6.0
    )
    ((start, end),) = sounding(decoded(data))
    assert (start, end) == (pytest.approx(3.0, abs=0.11), pytest.approx(5.0, abs=0.21))


def test_times_begin_at_the_first_timestamp_of_the_file() -> None:
    data = muxed("matroska", "flac", 16_000, [tone(2.0, 16_000)], shift=lambda time: time + 3_000)
    assert len(decoded(data)) == 2 * SAMPLE_RATE


def test_small_jitter_between_timestamps_is_ignored() -> None:
    jitter = itertools.cycle((0.0, 0.04, 0.01, 0.03))
    data = muxed("matroska", "flac", 16_000, [tone(4.0, 16_000)], shift=lambda time: time + next(jitter))
    assert len(decoded(data)) == 4 * SAMPLE_RATE


def test_a_jump_of_years_is_no_silence() -> None:
    def jump(time: float) -> float:
        return time + (10 * 365 * 24 * 3_600 if time >= 2 else 0)

    samples, warnings = with_warnings(muxed("matroska", "flac", 16_000, [tone(4.0, 16_000)], shift=jump))
    assert len(samples) == 4 * SAMPLE_RATE
    assert "The timestamps jump by 315360" in warnings[0]


def test_an_hour_of_silence_is_made_piece_by_piece() -> None:
    data = muxed(
        "matroska",
        "flac",
        16_000,
        [tone(4.0, 16_000)],
        shift=lambda time: time + (MAX_GAP - 1 if time >= 2 else 0),
    )
    sizes = [len(clip.samples) for clip in decode_file(io.BytesIO(data))]
    assert sum(sizes) / SAMPLE_RATE == pytest.approx(MAX_GAP + 3, abs=0.5)
    assert max(sizes) < 3 * PIECE


def test_a_range_is_in_the_time_of_a_player() -> None:
    data = muxed(
        "matroska", "flac", 16_000, [tone(4.0, 16_000)], shift=lambda time: time + (20 if time >= 2 else 0)
    )
    assert not decoded(data, 10.0, 21.0).any()
    assert (decoded(data, 21.5, 23.0) == decoded(data)[344_000:368_000]).all()


@pytest.mark.parametrize("rate", [44_100, 16_000])
def test_chained_ogg_files_are_all_read(rate: int) -> None:
    data = encoded("ogg", "flac", rate, "mono") * 2
    assert len(decoded(data)) / SAMPLE_RATE == pytest.approx(6.0, abs=0.1)


def test_joined_mp3s_of_two_rates_are_all_read() -> None:
    data = encoded("mp3", "libmp3lame", 22_050, "mono") + encoded("mp3", "libmp3lame", 44_100, "stereo")
    samples, warnings = with_warnings(data)
    assert len(samples) / SAMPLE_RATE == pytest.approx(6.0, abs=0.2)
    assert warnings == []


# tracks


def two_tracks() -> bytes:
    """Return a file whose second track is the default one, and twice as long."""
    return muxed("matroska", "flac", 16_000, [tone(1.0, 16_000), tone(2.0, 16_000)])


@pytest.mark.parametrize(("track", "seconds"), [(None, 2), (0, 1), (1, 2)])
def test_the_default_track_is_read_or_the_chosen_one(track: int | None, seconds: int) -> None:
    clips = decode_file(io.BytesIO(two_tracks()), track=track)
    assert sum(len(clip.samples) for clip in clips) == seconds * SAMPLE_RATE


@pytest.mark.parametrize("track", [2, -1, 1_000_000])
def test_an_unknown_track_is_refused(track: int) -> None:
    with pytest.raises(UnknownTrack, match=rf"no audio track {track}: it has 2, counted from 0"):
        probe(io.BytesIO(two_tracks()), track)
    with pytest.raises(UnknownTrack):
        next(decode_file(io.BytesIO(two_tracks()), track=track))


def test_tracks_are_listed() -> None:
    info = probe(io.BytesIO(two_tracks()))
    assert info.tracks == (
        Track(0, "fra", "Track 0", False, "flac", 16_000, 1),
        Track(1, "eng", "Track 1", True, "flac", 16_000, 1),
    )
    assert (info.track, probe(io.BytesIO(two_tracks()), 0).track) == (info.tracks[1], info.tracks[0])


# channels


def test_opposite_channels_do_not_cancel() -> None:
    sound = noise(2 * SAMPLE_RATE)
    samples = decoded(wav(np.stack((sound, -sound), axis=1)))
    assert (samples[160:] * 32768 == sound[160:]).all()


@pytest.mark.parametrize("channel", [0, 1])
def test_one_channel_is_decoded_as_if_it_were_alone(channel: int) -> None:
    sounds = np.stack((noise(2 * SAMPLE_RATE), noise(2 * SAMPLE_RATE)[::-1]), axis=1)
    clips = decode_file(io.BytesIO(wav(sounds)), channel=channel)
    samples = np.concatenate([clip.samples for clip in clips])
    assert (samples == decoded(wav(sounds[:, channel]))).all()


def test_a_channel_that_the_track_lacks_is_silent() -> None:
    clips = list(decode_file(io.BytesIO(wav(noise(2 * SAMPLE_RATE))), channel=1))
    samples = np.concatenate([clip.samples for clip in clips])
    assert (len(samples), np.abs(samples).max()) == (2 * SAMPLE_RATE, 0)


# wav files with wrong headers


@pytest.mark.parametrize("said", [2, 20_000, 79_990])
def test_a_wav_that_names_less_is_read_to_its_end(said: int) -> None:
    data = bytearray(wav(noise(40_000)))
    data[40:44] = struct.pack("<I", said)
    assert len(decoded(bytes(data))) == 40_000
    assert probe(io.BytesIO(bytes(data))).seconds == 2.5


def test_chunks_after_the_samples_are_no_sound() -> None:
    assert len(decoded(wav(noise(40_000)) + b"LIST" + struct.pack("<I", 4) + b"INFO")) == 40_000


@pytest.mark.parametrize("rates", [(16_000, 16_000), (8_000, 44_100)])
def test_joined_wav_files_are_all_read(rates: tuple[int, int]) -> None:
    data = b"".join(wav(noise(rate * 3), rate) for rate in rates)
    assert len(decoded(data)) == 6 * SAMPLE_RATE
    assert probe(io.BytesIO(data)).seconds == 6.0


def test_an_rf64_file_is_read() -> None:
    plain = wav(noise(40_000))
    sizes = struct.pack("<QQQI", len(plain) + 28, 80_000, 40_000, 0)
    head = b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<I", len(sizes)) + sizes
    assert len(decoded(head + plain[12:40] + b"\xff\xff\xff\xff" + plain[44:])) == 40_000


@pytest.mark.skipif(not CONTAINERS.is_dir(), reason="../shared/audio/containers is absent")
def test_real_files_of_every_kind_are_read() -> None:
    rows = [json.loads(line) for line in (CONTAINERS / "manifest.jsonl").read_text().splitlines()]
    assert rows
    for row in rows:
        seconds = sum(clip.seconds for clip in decode_file(CONTAINERS / row["file"]))
        assert seconds == pytest.approx(row["duration_s"], abs=0.05), row["file"]
