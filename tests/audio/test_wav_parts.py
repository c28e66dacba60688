"""Test the recordings that are found in a WAV file."""

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio.wav_parts import MAX_PARTS, wav_parts

FORMAT = struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16)


def chunk(name: bytes, content: bytes, length: int | None = None) -> bytes:
    return name + struct.pack("<I", len(content) if length is None else length) + content


def wav(sound: bytes, length: int | None = None, before: bytes = b"", after: bytes = b"") -> bytes:
    """length: the declared one, if it is wrong"""
    chunks = chunk(b"fmt ", FORMAT) + before + chunk(b"data", sound, length) + after
    return chunk(b"RIFF", b"WAVE" + chunks)


def sounds(data: bytes) -> list[bytes]:
    """Return the samples of each recording, behind the header that `open` writes."""
    file = io.BytesIO(data)
    parts = wav_parts(file)
    assert file.tell() == 0
    opened = [part.open(file).read() for part in parts]
    assert all(each.startswith(b"RIFF\xff\xff\xff\xffWAVEfmt ") for each in opened)
    return [each[each.index(b"data") + 8 :] for each in opened]


SOUND = bytes(range(1, 32)) * 20  # an even number of bytes


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        b"fLaC" + SOUND,
        wav(SOUND),
        wav(SOUND[:-1] + b"\0"),
        wav(SOUND, 0xFFFF_FFFF),
        wav(SOUND, 10_000_000),
        wav(SOUND, after=chunk(b"LIST", b"INFO")),
        wav(SOUND, after=chunk(b"any ", b"four") + chunk(b"id3 ", bytes(40))),
        wav(SOUND[:-1], after=b"\0" + chunk(b"LIST", b"INFO")),
        wav(SOUND, after=chunk(b"LIST", b"INFO", 4_000)),  # cut short
        wav(SOUND, after=b"\0\0\0"),
        chunk(b"RIFF", b"WAVE" + chunk(b"data", SOUND, 4)),
    ],
)
def test_a_file_with_a_right_header_is_left_as_it_is(data: bytes) -> None:
    assert sounds(data) == []


@pytest.mark.parametrize("declared", [0, 2, 100, 610])
@pytest.mark.parametrize("before", [b"", chunk(b"LIST", b"INFO")])
def test_samples_behind_the_declared_ones_are_included(declared: int, before: bytes) -> None:
    assert sounds(wav(SOUND, declared, before)) == [SOUND]


@pytest.mark.parametrize("between", [b"", chunk(b"LIST", b"INFO")])
def test_joined_files_are_recordings_of_their_own(between: bytes) -> None:
    data = wav(SOUND, after=between) + wav(SOUND[:100]) + wav(SOUND[:50], 10)
    assert sounds(data) == [SOUND, SOUND[:100], SOUND[:50]]


def test_the_number_of_recordings_is_bounded() -> None:
    assert len(wav_parts(io.BytesIO(wav(b"") * (MAX_PARTS + 1)))) == MAX_PARTS


def test_a_recording_knows_its_duration() -> None:
    (part,) = wav_parts(io.BytesIO(wav(bytes(32_000), 100)))
    assert part.seconds == 1.0


def test_a_recording_can_be_read_from_any_place() -> None:
    file = io.BytesIO(wav(SOUND, 100))
    opened = wav_parts(file)[0].open(file)
    whole = opened.read()
    assert opened.seek(-100, io.SEEK_END) == len(whole) - 100
    assert opened.read(30) == whole[-100:-70]
    assert opened.seek(20) == 20
    assert (opened.read(60), opened.seek(0, io.SEEK_CUR)) == (whole[20:80], 80)
    with pytest.raises(OSError, match="before the beginning"):
        opened.seek(-10_000, io.SEEK_CUR)


@settings(deadline=None)
@given(
    st.lists(
        st.binary(max_size=40) | st.sampled_from([wav(SOUND), wav(SOUND, 7), b"RIFF", b"data"]), max_size=5
    )
)
def test_any_bytes_are_searched_without_an_error(pieces: list[bytes]) -> None:
    data = wav(SOUND, 30) + b"".join(pieces)
    assert sum(map(len, sounds(data))) <= len(data)
