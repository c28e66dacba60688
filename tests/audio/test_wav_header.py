"""Test the header of a WAV stream that arrives in pieces."""

import io
import struct
import wave

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.codecs import Encoding, Format
from audio.errors import InvalidAudio, UnsupportedSampleRate
from audio.wav_header import MAX_HEADER, header, read_header

ENCODINGS = [
    Encoding(form, rate, channels) for form in Format for rate in (8000, 48000) for channels in (1, 2)
]


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def fmt(code: int, bits: int, rate: int = 16_000, more: bytes = b"") -> bytes:
    return chunk(b"fmt ", struct.pack("<HHIIHH", code, 1, rate, rate * bits // 8, bits // 8, bits) + more)


def wav(*chunks: bytes) -> bytes:
    return b"RIFF\0\0\0\0WAVE" + b"".join(chunks)


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_a_header_says_what_was_written_into_it(encoding: Encoding) -> None:
    written = header(encoding)
    assert read_header(written + b"sound") == (encoding, len(written))


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_others_read_what_was_written(encoding: Encoding) -> None:
    frames = encoding.sample_rate // 10
    file = io.BytesIO(header(encoding) + bytes(frames * encoding.frame_bytes))
    with av.open(file, "r") as container:
        stream = container.streams.audio[0]
        assert (stream.rate, stream.channels) == (encoding.sample_rate, encoding.channels)
        assert sum(frame.samples for frame in container.decode(audio=0)) == frames


def test_what_others_write_is_read() -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(2)
        writer.setsampwidth(2)
        writer.setframerate(44_100)
        writer.writeframes(b"\1\2\3\4")
    encoding, start = read_header(file.getvalue()) or pytest.fail("more was asked for")
    assert encoding == Encoding(Format.PCM16, 44_100, 2)
    assert file.getvalue()[start:] == b"\1\2\3\4"


@given(cut=st.integers(0, 80))
def test_a_header_that_is_cut_waits_for_its_rest(cut: int) -> None:
    whole = wav(chunk(b"LIST", b"odd"), fmt(1, 16), chunk(b"data", b""))
    found = read_header(whole[:cut])
    assert found == ((Encoding(), len(whole)) if cut >= len(whole) else None)


def test_an_extensible_format_says_further_on_what_it_is() -> None:
    guid = struct.pack("<HHI", 22, 32, 4) + struct.pack("<H", 3) + bytes(14)
    found = read_header(wav(fmt(0xFFFE, 32, more=guid), chunk(b"data", b"")))
    assert found is not None
    assert found[0].format is Format.FLOAT32


@pytest.mark.parametrize(
    "data",
    [
        b"ID3\4",
        b"RIFX",
        b"RIFF\0\0\0\0AVI ",
        wav(chunk(b"data", b"")),
        wav(fmt(2, 4), chunk(b"data", b"")),
        wav(fmt(1, 24), chunk(b"data", b"")),
        wav(chunk(b"fmt ", b"\1\0\1\0")),
        wav(chunk(b"LIST", bytes(MAX_HEADER))),
    ],
    ids=["mp3", "big endian", "avi", "no format", "adpcm", "24 bits", "a stub", "nothing but tags"],
)
def test_what_is_no_wav_that_can_be_read_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidAudio):
        read_header(data)


def test_a_rate_that_nobody_speaks_at_is_refused() -> None:
    with pytest.raises(UnsupportedSampleRate):
        read_header(wav(fmt(1, 16, rate=100), chunk(b"data", b"")))
