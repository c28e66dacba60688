"""Test which containers are recognized by their first bytes."""

import pytest

from audio.container_signatures import container_of


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\x1aE\xdf\xa3\x9f", "WebM"),
        (b"OggS\0", "Ogg"),
        (b"fLaC\0", "FLAC"),
        (b"ID3\x04\0", "MP3"),
        (b"\0\0\0\x1cftypisom", "MP4"),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"", None),
        (b"Ogg", None),
        (bytes(100), None),
    ],
)
def test_a_container_is_known_by_its_first_bytes(data: bytes, name: str | None) -> None:
    assert container_of(data) == name
