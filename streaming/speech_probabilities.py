"""Heard: what the detector said of the latest hops, by their place in the stream."""

from array import array
from collections.abc import Sequence
from typing import Final

from audio.clip import HOP

GRAIN: Final = 64  # hops that are let go of at once


class SpeechProbabilities:
    """Probabilities of speech, one a hop. Bounded by whoever lets go of them: as the sound itself is."""

    def __init__(self, start: int = 0) -> None:
        """start: a sample of the first hop to come."""
        self._first = start // HOP  # the hop of the oldest
        self._probabilities = array("f")

    def __len__(self) -> int:
        return len(self._probabilities)

    def extend(self, probabilities: list[float]) -> None:
        """Those of the next hops."""
        self._probabilities.extend(probabilities)

    def read(self, start: int, end: int) -> Sequence[float]:
        """Those of all hops that reach into the samples [start, end) and are not let go of."""
        return self._probabilities[max(0, start // HOP - self._first) : -(-end // HOP) - self._first]

    def forget(self, before: int) -> None:
        """Lets go of the hops before the sample `before`, though not of each at once."""
        gone = before // HOP - self._first
        if gone >= GRAIN:
            del self._probabilities[:gone]
            self._first += gone
