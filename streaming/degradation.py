"""Relief: what streams go without while the models are behind, and when a client hears how far."""

from dataclasses import dataclass
from typing import Final

from streaming.utterance import TaskKind


@dataclass(frozen=True, slots=True)
class Degradation:
    """spread: times as long as usual from one partial to the next; sheds: jobs that are not even queued"""

    spread: int = 1
    sheds: frozenset[TaskKind] = frozenset()


NO_DEGRADATION: Final = Degradation()
LEAST_MS: Final = 250
SHARE: Final = 0.25


def lag_to_report(lag_ms: int, told_ms: int) -> int | None:
    """The lag to tell a client, where it is notably more or less than it was told; a little is none."""
    lag_ms = lag_ms if lag_ms >= LEAST_MS else 0
    return lag_ms if abs(lag_ms - told_ms) >= max(LEAST_MS, SHARE * told_ms) else None
