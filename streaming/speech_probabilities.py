"""Hold the detector's probabilities of the latest hops, addressed by sample position."""

from array import array
from collections.abc import Sequence
from typing import Final

from audio.clip import HOP

MIN_DROPPED_HOPS: Final = 64  # hops are dropped in groups of at least this many


class SpeechProbabilities:
    """Hold one probability of speech for each hop. The session bounds them together with the audio.

    values: the probabilities; those of the next hops are appended to it
    """

    def __init__(self, start: int = 0) -> None:
        """Begin with the hop at the sample `start`."""
        self.values = array("f")
        self._first = start // HOP  # the hop of the oldest value

    def read(self, start: int, end: int) -> Sequence[float]:
        """Return those of all hops that overlap the samples [start, end) and were not dropped."""
        return self.values[max(0, start // HOP - self._first) : -(-end // HOP) - self._first]

    def forget(self, before: int) -> None:
        """Drop the hops before the sample `before`, once they are enough."""
        dropped = before // HOP - self._first
        if dropped >= MIN_DROPPED_HOPS:
            del self.values[:dropped]
            self._first += dropped
