"""Define what streams go without while the models are behind, and when the lag is reported to a client."""

from dataclasses import dataclass
from typing import Final

from streaming.utterance import TaskKind


@dataclass(frozen=True, slots=True)
class Degradation:
    """Describe what streams go without at the moment.

    partial_interval_factor: factor by which the interval between two partials is longer than usual
    shed_kinds: kinds of tasks that are dropped without being queued
    """

    partial_interval_factor: int = 1
    shed_kinds: frozenset[TaskKind] = frozenset()


NO_DEGRADATION: Final = Degradation()
MIN_LAG_MS: Final = 250  # a smaller lag is reported as none, a smaller change is not reported
MIN_CHANGE: Final = 0.25  # of the reported lag; a smaller change is not reported


def lag_to_report(lag_ms: int, reported_ms: int) -> int | None:
    """Return the lag to report to a client, or None if it hardly differs from the one reported last."""
    lag_ms = lag_ms if lag_ms >= MIN_LAG_MS else 0
    return lag_ms if abs(lag_ms - reported_ms) >= max(MIN_LAG_MS, MIN_CHANGE * reported_ms) else None
