"""Audio files as mono PCM16."""

import subprocess
import sys
import wave
from array import array
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.audio_file import PcmAudio, mix_down, read_audio, read_wav, to_pcm16
from client.errors import AudioInputError
from tests.server.live_server import ROOT

samples = st.lists(st.integers(-32768, 32767), max_size=50)


def write(path: Path, raw: bytes, *, width: int = 2, channels: int = 1, rate: int = 8000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setsampwidth(width)
        file.setnchannels(channels)
        file.setframerate(rate)
        file.writeframes(raw)
    return path


@settings(deadline=None)
@given(samples)
def test_any_width_gives_the_same_samples(values: list[int]) -> None:
    pcm = array("h", values).tobytes()
    for width in (3, 4):
        wide = b"".join((value << 8 * (width - 2)).to_bytes(width, "little", signed=True) for value in values)
        assert to_pcm16(wide, width) == pcm
    assert to_pcm16(pcm, 2) == pcm


def test_eight_bits_are_unsigned() -> None:
    assert array("h", to_pcm16(bytes([0, 128, 255]), 1)).tolist() == [-32768, 0, 32512]


@settings(deadline=None)
@given(samples, st.integers(1, 4))
def test_equal_channels_mix_to_one_of_them(values: list[int], channels: int) -> None:
    interleaved = array("h", [value for value in values for _ in range(channels)])
    assert mix_down(interleaved.tobytes(), channels) == array("h", values).tobytes()


def test_a_stereo_file_is_read_as_the_mean_of_its_channels(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", array("h", [100, 200, -100, -300]).tobytes(), channels=2, rate=44_100)
    assert read_wav(path) == PcmAudio(array("h", [150, -200]).tobytes(), 44_100)


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_channels_may_be_kept_apart(tmp_path: Path, name: str) -> None:
    pcm = array("h", [100, 200, -100, -300] * 500).tobytes()
    path = tmp_path / name
    if name.endswith("wav"):
        write(path, pcm, channels=2)
    else:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("flac", rate=8000, layout="stereo", format="s16")
            frame = av.AudioFrame.from_ndarray(
                np.frombuffer(pcm, np.int16)[np.newaxis], format="s16", layout="stereo"
            )
            frame.sample_rate = 8000
            container.mux([*stream.encode(frame), *stream.encode(None)])
    audio = read_audio(path, apart=True)
    assert audio == PcmAudio(pcm, 8000, 2)
    assert audio.seconds == 1000 / 8000
    assert list(audio.chunks(100)) == [pcm[:3200], pcm[3200:]]


@settings(deadline=None)
@given(st.binary(max_size=2000), st.integers(1, 200))
def test_chunks_are_the_sound(pcm: bytes, ms: int) -> None:
    chunks = list(PcmAudio(pcm, 8000).chunks(ms))
    assert b"".join(chunks) == pcm
    assert all(len(chunk) == 16 * ms for chunk in chunks[:-1])


def test_sound_knows_how_long_it_is() -> None:
    assert PcmAudio(bytes(16_000), 8000).seconds == 1.0


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AudioInputError, match="there is no file"):
        read_audio(tmp_path / "none.wav")


@pytest.mark.parametrize("content", [b"", b"ID3 not a wav at all", b"RIFF\x00\x00\x00\x00WAVEfmt "])
def test_what_is_no_audio_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "song.wav"
    path.write_bytes(content)
    with pytest.raises(AudioInputError, match=r"song\.wav contains no audio that can be read"):
        read_audio(path)


def test_without_pyav_it_says_how_to_convert_a_file(tmp_path: Path) -> None:
    (tmp_path / "song.mp3").write_bytes(b"ID3")
    script = (
        "import sys; sys.modules['av'] = None; from pathlib import Path; "
        "from client.audio_file import read_audio"
    )
    command = [sys.executable, "-c", f"{script}; read_audio(Path(sys.argv[1]))", str(tmp_path / "song.mp3")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "install the package av, or convert it first, for example: ffmpeg" in ended.stderr


def test_other_formats_are_decoded(tmp_path: Path) -> None:
    path = tmp_path / "song.flac"
    tone = (8_000 * np.sin(np.arange(8_000) * 0.1)).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=16_000, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.repeat(tone, 2)[None], format="s16", layout="stereo")
        frame.sample_rate = 16_000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    audio = read_audio(path)
    assert audio.sample_rate == 16_000
    assert np.abs(np.frombuffer(audio.pcm, "<i2") - tone).max() <= 1
