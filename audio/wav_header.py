"""Read the header of a WAV file (RIFF/WAVE, Microsoft 1991) that arrives in pieces."""

import struct
from collections.abc import Iterator
from typing import Final

from audio.codecs import Encoding, Format
from audio.errors import InvalidAudio

MAX_HEADER: Final = 1 << 16  # bytes before the audio; leaves space for tags
EXTENSIBLE: Final = 0xFFFE  # the format code is in the first bytes of a GUID
FORMATS: Final = {
    (1, 16): Format.PCM16,
    (3, 32): Format.FLOAT32,
    (6, 8): Format.PCMA,
    (7, 8): Format.PCMU,
}
_FORM: Final = struct.Struct("<4sI4s")
_CHUNK: Final = struct.Struct("<4sI")
_FMT: Final = struct.Struct("<HHIIHH")
_GUID: Final = 24  # its offset in such a chunk


def read_header(data: bytes) -> tuple[Encoding, int] | None:
    """Return the encoding of the samples and the number of bytes before them; None if more bytes are needed.

    The declared length of the audio is ignored, as a streamed file does not know it.

    Raises InvalidAudio for bytes that are no WAV or have an unknown format; UnsupportedSampleRate,
    UnsupportedChannels.
    """
    if not _may_be_a_wav(data):
        raise InvalidAudio("the bytes are not a WAV file")
    encoding = None
    for name, start, size in _chunks(data):
        if name == b"data":
            if encoding is None:
                raise InvalidAudio("the WAV file has no format before its audio")
            return encoding, start
        if name == b"fmt " and start + size <= len(data):
            encoding = _encoding(data[start : start + size])
    if len(data) >= MAX_HEADER:
        raise InvalidAudio(f"the WAV file has no audio in its first {MAX_HEADER} bytes")
    return None


def header(encoding: Encoding) -> bytes:
    """Return the header of a stream whose length is not known yet."""
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
    """Yield name, offset and size of each chunk whose header has arrived."""
    place = _FORM.size
    while place + _CHUNK.size <= len(data):
        name, size = _CHUNK.unpack_from(data, place)
        start = place + _CHUNK.size
        yield name, start, size
        place = start + size + size % 2


def _encoding(fmt: bytes) -> Encoding:
    if len(fmt) < _FMT.size:
        raise InvalidAudio("the format of the WAV file is incomplete")
    code, channels, rate, _, _, bits = _FMT.unpack_from(fmt)
    if code == EXTENSIBLE and len(fmt) >= _GUID + 2:
        (code,) = struct.unpack_from("<H", fmt, _GUID)
    if (code, bits) not in FORMATS:
        raise InvalidAudio(f"WAV format {code} with {bits} bits is not supported")
    return Encoding(FORMATS[code, bits], rate, channels)
