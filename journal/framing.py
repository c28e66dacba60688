"""Record: the frame of one entry in a journal's file, so that a torn or damaged tail is known as one.

A frame is its kind (1 byte), the length of what follows (4, little endian), a CRC-32 of all but itself (4),
and so many bytes. What lies behind the first frame that is not whole is not read.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

HEAD: Final = struct.Struct("<BI")
CHECK: Final = struct.Struct("<I")
OVERHEAD: Final = HEAD.size + CHECK.size


class Frame(NamedTuple):
    """end: where the next one begins in the file."""

    kind: int
    payload: bytes
    end: int


def frame(kind: int, payload: bytes) -> bytes:
    head = HEAD.pack(kind, len(payload))
    return b"".join((head, CHECK.pack(zlib.crc32(payload, zlib.crc32(head))), payload))


def read_frames(data: bytes) -> Iterator[Frame]:
    """Those that are whole, up to the first that is not."""
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
