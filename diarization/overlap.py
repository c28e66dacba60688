"""Find where several people speak at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from audio.clip import samples_from_ms

LEAST: Final = samples_from_ms(300)  # of overlap, in speech of which the times of the words are not known


@dataclass(frozen=True, slots=True, eq=False)
class Overlaps:
    """Hold where several people speak at once: int64 (n, 2), samples [start, end) in order."""

    spans: NDArray[np.int64]

    @classmethod
    def of(cls, spans: Sequence[tuple[int, int]]) -> Self:
        """Return these intervals."""
        return cls(np.array(spans, np.int64).reshape(-1, 2))

    def shifted(self, samples: int) -> Self:
        """Return the intervals so many samples later."""
        return type(self)(self.spans + samples)

    def within(self, start: int, end: int) -> int:
        """Return how many samples of an interval are overlapping speech."""
        shared = np.minimum(self.spans[:, 1], end) - np.maximum(self.spans[:, 0], start)
        return int(np.maximum(shared, 0).sum())

    def has_word(self, start: int, end: int) -> bool:
        """Return whether at least half of a word is overlapping speech."""
        return start < end and 2 * self.within(start, end) >= end - start

    def has_part_of(self, start: int, end: int) -> bool:
        """Return whether some of an interval whose words have no times is overlapping speech."""
        return self.within(start, end) >= LEAST


NO_OVERLAPS: Final = Overlaps.of(())
