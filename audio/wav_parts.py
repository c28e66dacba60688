"""Find the recordings in a WAV file whose header names less than the file holds."""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final

MAX_PARTS: Final = 1_000  # recordings in one file
MAX_CHUNKS: Final = 1_000  # of one recording that are searched for its samples
MAX_FORMAT: Final = 1 << 12  # bytes of the chunk that describes the samples
ENDLESS: Final = 0xFFFF_FFFF
_FORM: Final = struct.Struct("<4sI4s")
_CHUNK: Final = struct.Struct("<4sI")
_BYTES_PER_SECOND: Final = struct.Struct("<8xI")
_TAGS: Final = frozenset((b"LIST", b"id3 ", b"ID3 ", b"bext", b"cue ", b"fact", b"smpl", b"iXML", b"JUNK"))


@dataclass(frozen=True, slots=True)
class WavPart:
    """Describe one recording.

    format: content of its `fmt ` chunk
    start, end: place of the samples, in bytes of the file
    """

    format: bytes
    start: int
    end: int

    @property
    def seconds(self) -> float | None:
        """Duration according to the declared rate; None if there is none."""
        (rate,) = _BYTES_PER_SECOND.unpack_from(self.format)
        return (self.end - self.start) / rate if rate else None

    def open(self, file: IO[bytes]) -> IO[bytes]:
        """Return the recording as a WAV file of its own, read from `file`."""
        head = _FORM.pack(b"RIFF", ENDLESS, b"WAVE") + _CHUNK.pack(b"fmt ", len(self.format)) + self.format
        return io.BufferedReader(_Window(file, head + _CHUNK.pack(b"data", ENDLESS), self.start, self.end))


def wav_parts(file: IO[bytes]) -> list[WavPart]:
    """Return the recordings of a file, at most MAX_PARTS; none if it is no WAV or its header is right.

    Samples that follow the declared ones belong to the recording, unless they are chunks of RIFF. A second
    RIFF file there is another recording.

    file: seekable, at the start of the WAV; the position is restored. Raises OSError.
    """
    start = file.tell()
    try:
        size = file.seek(0, io.SEEK_END)
        found = list(_parts(file, start, size))
        is_plain = len(found) < 2 and not any(part.end > declared for part, declared in found)
        return [] if is_plain else [part for part, _ in found]
    finally:
        file.seek(start)


def _parts(file: IO[bytes], start: int, size: int) -> Iterator[tuple[WavPart, int]]:
    """Yield each recording, and the end of its samples according to its header."""
    place: int | None = start
    for _ in range(MAX_PARTS):
        if place is None or not _is_riff(file, place):
            return
        found = _samples(file, place + _FORM.size, size)
        if found is None:
            return
        form, first, length = found
        declared = min(first + length, size)
        end, place = size, None
        if length != ENDLESS:
            end, place = _end(file, declared, declared + length % 2, size)
        yield WavPart(form, first, end), declared


def _samples(file: IO[bytes], place: int, size: int) -> tuple[bytes, int, int] | None:
    """Return the format, and the place and declared length of the samples; None if they are not found."""
    form = b""
    for _ in range(MAX_CHUNKS):
        head = _read(file, place, _CHUNK.size)
        if len(head) < _CHUNK.size:
            return None
        name, length = _CHUNK.unpack(head)
        place += _CHUNK.size
        if name == b"data":
            return (form, place, length) if len(form) >= 16 else None
        if name == b"fmt ":
            form = _read(file, place, min(length, MAX_FORMAT))
        place += length + length % 2
    return None


def _end(file: IO[bytes], declared: int, padded: int, size: int) -> tuple[int, int | None]:
    """Return the end of the samples and the place of the next recording."""
    if size - padded < _CHUNK.size:
        return declared, None
    for place in (padded, declared):  # some programs do not pad
        after = _behind_chunks(file, place, size)
        if after is not None:
            return declared, after
    return size, None


def _behind_chunks(file: IO[bytes], place: int, size: int) -> int | None:
    """Return the end of the chunks that begin here; None if they do not lead to the end or to a RIFF."""
    for _ in range(MAX_CHUNKS):
        if size - place < _CHUNK.size or _is_riff(file, place):
            return place
        name, length = _CHUNK.unpack(_read(file, place, _CHUNK.size))
        place += _CHUNK.size + length + length % 2
        is_text = all(0x20 <= byte < 0x7F for byte in name)
        if not is_text or (name not in _TAGS and place > size + 1):
            return None
    return None


def _is_riff(file: IO[bytes], place: int) -> bool:
    head = _read(file, place, _FORM.size)
    return head[:4] == b"RIFF" and head[8:] == b"WAVE"


def _read(file: IO[bytes], place: int, count: int) -> bytes:
    file.seek(place)
    return file.read(count)


class _Window(io.RawIOBase):
    """Read some bytes of a file behind a header, as a file; the file itself stays open."""

    def __init__(self, file: IO[bytes], head: bytes, start: int, end: int) -> None:
        self._file = file
        self._head = head
        self._offset = start - len(head)  # of a position here to the place in the file
        self._size = len(head) + end - start
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("the position is before the beginning")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        count = max(min(len(buffer), self._size - self._position), 0)
        if self._position < len(self._head):
            data = self._head[self._position :][:count]
        else:
            data = _read(self._file, self._position + self._offset, count)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
