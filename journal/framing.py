"""Frame the records of a journal file, so that a torn or damaged tail is detected.

A frame is the kind (1 byte), the length of the payload (4 bytes, little endian), a CRC-32 of the kind, length
and payload (4 bytes), and the payload. Reading stops at the first frame that is incomplete or damaged.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

HEAD: Final = struct.Struct("<BI")
CHECK: Final = struct.Struct("<I")
OVERHEAD: Final = HEAD.size + CHECK.size


class Frame(NamedTuple):
    """Hold one frame; `end` is the offset in the file at which the next one begins."""

    kind: int
    payload: bytes
    end: int


def frame(kind: int, payload: bytes) -> bytes:
    """Return the frame of a payload. `kind` is 0 to 255."""
    head = HEAD.pack(kind, len(payload))
    return b"".join((head, CHECK.pack(zlib.crc32(payload, zlib.crc32(head))), payload))


def read_frames(data: bytes) -> Iterator[Frame]:
    """Yield the frames up to the first that is incomplete or damaged."""
    start = 0
    while start + OVERHEAD <= len(data):
        kind, length = HEAD.unpack_from(data, start)
        (check,) = CHECK.unpack_from(data, start + HEAD.size)
        first, end = start + OVERHEAD, start + OVERHEAD + length
        if end > len(data):
            return
        payload = data[first:end]
        if zlib.crc32(payload, zlib.crc32(data[start : start + HEAD.size])) != check:
            return
        yield Frame(kind, payload, end)
        start = end
