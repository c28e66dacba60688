"""Find the speaker of words from the turns of the speakers."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from audio.clip import samples_from_ms
from diarization.turns import Turn

# A word outside all turns belongs to the nearest one up to this distance, else to the speaker before.
MAX_DISTANCE: Final = samples_from_ms(1_000)
# The times of words are uncertain. A word stays with the speaker before unless another one has more of it, by
# this part of its length.
STAY: Final = 0.1


class SpeakerFinder:
    """Find the speaker of intervals that come in order.

    number_before: the speaker of the last interval; None before the first
    """

    def __init__(self, turns: Sequence[Turn]) -> None:
        self.number_before: int | None = None
        self._starts = np.array([turn.start for turn in turns])
        self._ends = np.array([turn.end for turn in turns])
        self._speakers = np.array([turn.speaker for turn in turns])

    def find(self, start: int, end: int) -> int:
        """Return the number of the speaker who speaks most in an interval, or next to it."""
        shared = np.minimum(self._ends, end) - np.maximum(self._starts, start)
        inside = np.bincount(self._speakers, np.maximum(shared, 0))
        best = int(inside.argmax())
        before = self.number_before
        if not inside[best]:
            nearest = int(shared.argmax())
            best = int(self._speakers[nearest])
            if before is not None and -shared[nearest] > MAX_DISTANCE:
                best = before
        elif before is not None and inside[best] - inside[before] <= STAY * (end - start):
            best = before
        self.number_before = best
        return best
