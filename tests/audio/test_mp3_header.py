"""Test the number of frames that an MP3 file declares."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.mp3_header import declared_seconds
from tests.audio.test_files import encoded, muxed, tone


def first_frame(head: int, side_info: int, name: bytes = b"Info", flags: int = 1) -> bytes:
    """Return a frame of 1,000 frames in all. head: the first four bytes"""
    return struct.pack(f">I{side_info}x4sII40x", head, name, flags, 1_000)


@pytest.mark.parametrize(
    ("head", "side_info", "seconds"),
    [
        (0xFFFB9044, 32, 1_152_000 / 44_100),  # MPEG 1, stereo
        (0xFFFB94C4, 17, 1_152_000 / 48_000),  # MPEG 1, mono
        (0xFFF34044, 17, 576_000 / 22_050),  # MPEG 2, stereo
        (0xFFE348C4, 9, 576_000 / 8_000),  # MPEG 2.5, mono
    ],
)
def test_each_version_has_its_place_and_rate(head: int, side_info: int, seconds: float) -> None:
    assert declared_seconds(io.BytesIO(first_frame(head, side_info))) == pytest.approx(seconds)


def test_a_tag_before_the_frame_is_passed_over() -> None:
    file = io.BytesIO(
        b"before" + b"ID3\x04\0\0\0\0\x02\x01" + bytes(257) + first_frame(0xFFFB9044, 32, b"Xing")
    )
    file.seek(6)
    assert declared_seconds(file) == pytest.approx(1_152_000 / 44_100)
    assert file.tell() == 6


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"ID3",
        b"ID3\x04\0\0\x7f\x7f\x7f\x7f",
        first_frame(0xFFFB9044, 32, b"VBRI"),
        first_frame(0xFFFB9044, 32, flags=0),
        first_frame(0xFFFB9C44, 32),  # a reserved rate
        first_frame(0xFFEB9044, 32),  # a reserved version
        first_frame(0xFFFB9044, 32)[:60],
        encoded("flac", "flac", 16_000, "mono"),
        muxed("mp3", "libmp3lame", 16_000, [tone(1.0, 16_000)], options={"write_xing": "0"}),
    ],
)
def test_a_file_without_the_number_has_none(data: bytes) -> None:
    assert declared_seconds(io.BytesIO(data)) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    assert declared_seconds(io.BytesIO(data)) is None or data


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a_real_file_declares_its_length(rate: int) -> None:
    data = encoded("mp3", "libmp3lame", rate, "stereo", seconds=4.0)
    assert declared_seconds(io.BytesIO(data)) == pytest.approx(4.0, abs=0.2)
