"""Interleave speech of several channels, as telephony sends it."""

from collections.abc import Sequence

import numpy as np

from tests.server.live_server import spoken

# The first and the second sentence of test.wav: milliseconds from its beginning.
FIRST_MS, SECOND_MS = (0, 3600), (3600, 7700)


def part(span_ms: tuple[int, int]) -> bytes:
    """Return a part of test.wav, PCM16 at 16 kHz."""
    start, end = span_ms
    return spoken()[32 * start : 32 * end]


def silence(ms: int) -> bytes:
    """Return PCM16 at 16 kHz without a sound."""
    return bytes(32 * ms)


def interleaved(channels: Sequence[bytes]) -> bytes:
    """Return PCM16 of all channels, frame by frame; shorter channels end with silence."""
    longest = max(map(len, channels))
    columns = [np.frombuffer(each.ljust(longest, b"\0"), "<i2") for each in channels]
    return np.stack(columns, axis=1).tobytes()
