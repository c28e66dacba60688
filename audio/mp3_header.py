"""Read the number of frames that an MP3 file declares in its Xing or Info header."""

import struct
from typing import IO, Final

_RATES: Final = (44_100, 48_000, 32_000)  # Hz, of MPEG 1; halved for MPEG 2, and again for MPEG 2.5
_ID3_HEADER: Final = 10  # bytes
_ID3_FOOTER: Final = 0x10  # flag
_HAS_FRAMES: Final = 1  # flag of the Xing header
_SIDE_INFO: Final = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}  # bytes
_HEAD: Final = 64  # bytes from a frame's start that include the number


def declared_seconds(file: IO[bytes]) -> float | None:
    """Return the seconds of all frames, encoder delay and padding included; None if they are not declared.

    file: seekable, at the start of the MP3; the position is restored. Raises OSError.
    """
    start = file.tell()
    try:
        head = file.read(_ID3_HEADER)
        if head[:3] == b"ID3" and len(head) == _ID3_HEADER:
            size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
            footer = _ID3_HEADER if head[5] & _ID3_FOOTER else 0
            file.seek(start + _ID3_HEADER + size + footer)
        else:
            file.seek(start)
        return _seconds_in(file.read(_HEAD))
    finally:
        file.seek(start)


def _seconds_in(frame: bytes) -> float | None:
    """Return the seconds that the first frame declares for the whole file."""
    if len(frame) < _HEAD or frame[0] != 0xFF or frame[1] & 0xE6 != 0xE2:  # MPEG audio, layer 3
        return None
    version, rate_index, mono = frame[1] >> 3 & 3, frame[2] >> 2 & 3, frame[3] >> 6 == 3
    if version == 1 or rate_index == 3:  # reserved values
        return None
    is_mpeg1 = version == 3
    rate = _RATES[rate_index] >> {3: 0, 2: 1, 0: 2}[version]
    place = 4 + _SIDE_INFO[is_mpeg1, mono]
    name, flags, frames = struct.unpack_from(">4sII", frame, place)
    if name not in (b"Xing", b"Info") or not flags & _HAS_FRAMES:
        return None
    return float(frames * (1152 if is_mpeg1 else 576) / rate)
