"""Recognize the beginning of an audio container where raw samples are expected."""

from typing import Final

# A stream of raw samples begins with one of these by chance once in four billion times. WAV is absent: its
# header sounds like a click, and the samples after it are read as they are.
_SIGNATURES: Final = {
    b"\x1aE\xdf\xa3": "WebM",
    b"OggS": "Ogg",
    b"fLaC": "FLAC",
    b"ID3\x03": "MP3",
    b"ID3\x04": "MP3",
}
_MP4: Final = b"ftyp"  # after the four bytes of a length


def container_of(data: bytes) -> str | None:
    """Return the name of the container whose first bytes these are; None if it is none of the known ones."""
    return "MP4" if data[4:8] == _MP4 else _SIGNATURES.get(data[:4])
