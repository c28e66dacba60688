"""The header of a wav (RIFF/WAVE, Microsoft 1991) that comes in pieces: what the bytes behind it mean."""

import struct
from collections.abc import Iterator
from typing import Final

from audio.codecs import Encoding, Format
from audio.errors import InvalidAudio

MAX_HEADER: Final = 1 << 16  # bytes until the sound begins: room for tags
EXTENSIBLE: Final = 0xFFFE  # the format stands in the first bytes of a GUID
FORMATS: Final = {
    (1, 16): Format.PCM16,
    (3, 32): Format.FLOAT32,
    (6, 8): Format.PCMA,
    (7, 8): Format.PCMU,
}
_FORM: Final = struct.Struct("<4sI4s")
_CHUNK: Final = struct.Struct("<4sI")
_FMT: Final = struct.Struct("<HHIIHH")
_GUID: Final = 24  # where it stands in such a chunk


def read_header(data: bytes) -> tuple[Encoding, int] | None:
    """What the samples are, and how many bytes lie before them; None if more has to come to know it.

    How long the sound is the header cannot know when it is streamed: what it says of that is not believed.

    Raises InvalidAudio for what is no wav, or has samples of another kind; UnsupportedSampleRate,
    UnsupportedChannels.
    """
    if not _may_be_a_wav(data):
        raise InvalidAudio("the bytes are no wav")
    encoding = None
    for name, start, size in _chunks(data):
        if name == b"data":
            if encoding is None:
                raise InvalidAudio("the wav does not say what its samples are")
            return encoding, start
        if name == b"fmt " and start + size <= len(data):
            encoding = _encoding(data[start : start + size])
    if len(data) >= MAX_HEADER:
        raise InvalidAudio(f"the wav has no sound in its first {MAX_HEADER} bytes")
    return None


def header(encoding: Encoding) -> bytes:
    """Of a stream that has no length yet."""
    code, bits = next(key for key, form in FORMATS.items() if form is encoding.format)
    per_second = encoding.frame_bytes * encoding.sample_rate
    fmt = _FMT.pack(code, encoding.channels, encoding.sample_rate, per_second, encoding.frame_bytes, bits)
    endless = 0xFFFF_FFFF
    return (
        _FORM.pack(b"RIFF", endless, b"WAVE")
        + _CHUNK.pack(b"fmt ", len(fmt))
        + fmt
        + _CHUNK.pack(b"data", endless)
    )


def _may_be_a_wav(data: bytes) -> bool:
    form, kind = data[:4], data[8 : _FORM.size]
    return b"RIFF".startswith(form) and b"WAVE".startswith(kind)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, place and size of each whose beginning is there."""
    place = _FORM.size
    while place + _CHUNK.size <= len(data):
        name, size = _CHUNK.unpack_from(data, place)
        start = place + _CHUNK.size
        yield name, start, size
        place = start + size + size % 2


def _encoding(fmt: bytes) -> Encoding:
    if len(fmt) < _FMT.size:
        raise InvalidAudio("the wav's format is cut short")
    code, channels, rate, _, _, bits = _FMT.unpack_from(fmt)
    if code == EXTENSIBLE and len(fmt) >= _GUID + 2:
        (code,) = struct.unpack_from("<H", fmt, _GUID)
    if (code, bits) not in FORMATS:
        raise InvalidAudio(f"a wav of kind {code} with {bits} bits cannot be read")
    return Encoding(FORMATS[code, bits], rate, channels)
