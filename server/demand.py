"""Demand: what part of the recognizers' time the open streams need, before finals wait for it."""

import math
from typing import Final

MEMORY: Final = 30.0  # seconds, after which what was learned counts a third


class Demand:
    """Learns what a stream needs; pure: time is told to it."""

    def __init__(self) -> None:
        self._stream_seconds = 0.0
        self._work = 0.0

    def learn(self, seconds: float, streams: int, work: float) -> None:
        """For so many seconds so many streams were open, and spoke what takes so many seconds of work."""
        kept = math.exp(-seconds / MEMORY)
        self._stream_seconds = kept * self._stream_seconds + seconds * streams
        self._work = kept * self._work + work

    def share(self, streams: int) -> float:
        """Of all that the recognizers can do, for so many streams: those too that have hardly begun to speak.
        From 1 on they fall behind."""
        return streams * self._work / self._stream_seconds if self._stream_seconds > 0 else 0.0
