"""Compute the diarization error rate (NIST RT, md-eval): missed, false and confused speech."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio.clip import SAMPLE_RATE, samples_from_ms
from diarization.turns import Turn

STEP: Final = SAMPLE_RATE // 100  # samples; errors are counted in steps of 10 ms

Activity = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class DiarizationError:
    """Hold durations in seconds; overlapping speech counts once for each speaker.

    reference: all speech of the reference that is scored
    missed, false: speech of too few or too many speakers at a time
    confused: speech of another speaker than in the best mapping of speakers
    """

    reference: float = 0.0
    missed: float = 0.0
    false: float = 0.0
    confused: float = 0.0

    @property
    def rate(self) -> float:
        """Return the diarization error rate as a fraction."""
        return (self.missed + self.false + self.confused) / self.reference if self.reference else 0.0

    def __add__(self, other: "DiarizationError") -> "DiarizationError":
        return DiarizationError(
            self.reference + other.reference,
            self.missed + other.missed,
            self.false + other.false,
            self.confused + other.confused,
        )


def diarization_error(
    reference: Sequence[Turn], hypothesis: Sequence[Turn], collar_seconds: float = 0.0
) -> DiarizationError:
    """Compare turns; overlapping speech is scored.

    collar_seconds: what lies as near as this to a start or an end of the reference is not scored
    """
    steps = max((turn.end for turn in [*reference, *hypothesis]), default=0) // STEP + 1
    spoken, heard = _activity(reference, steps), _activity(hypothesis, steps)
    scored = np.ones(steps, np.bool_)
    reach = samples_from_ms(1000 * collar_seconds) // STEP
    for edge in (edge for turn in reference for edge in (turn.start, turn.end)):
        if reach:
            scored[max(0, edge // STEP - reach) : edge // STEP + reach] = False
    spoken, heard = spoken[scored], heard[scored]
    at_once, heard_at_once = spoken.sum(axis=1), heard.sum(axis=1)
    common = int(np.minimum(at_once, heard_at_once).sum())
    shared = spoken.T.astype(np.int64) @ heard.astype(np.int64)
    counts = (
        int(at_once.sum()),
        int(np.maximum(at_once - heard_at_once, 0).sum()),
        int(np.maximum(heard_at_once - at_once, 0).sum()),
        common - _best_mapping(shared.tolist()),
    )
    return DiarizationError(*(count * STEP / SAMPLE_RATE for count in counts))


def _activity(turns: Iterable[Turn], steps: int) -> Activity:
    """Return who speaks in each step, bool (steps, speakers)."""
    turns = list(turns)
    activity = np.zeros((steps, max((turn.speaker + 1 for turn in turns), default=0)), np.bool_)
    for turn in turns:
        activity[turn.start // STEP : turn.end // STEP, turn.speaker] = True
    return activity


def _best_mapping(shared: list[list[int]]) -> int:
    """Return the greatest sum of entries of which no two share a row or a column."""

    @cache
    def best(row: int, used: int) -> int:
        if row == len(shared):
            return 0
        taken = (
            value + best(row + 1, used | 1 << column)
            for column, value in enumerate(shared[row])
            if value and not used >> column & 1
        )
        return max([best(row + 1, used), *taken])

    return best(0, 0)
