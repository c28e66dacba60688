"""Turnover: how soon a place is likely to become free."""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

LATEST: Final = 16  # that count
UNKNOWN: Final = 5.0  # seconds, before any place has become free
SHORTEST: Final = 1.0
LONGEST: Final = 60.0


class RetryAfterEstimate:
    """Learns from how often a place became free of late. clock: seconds"""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._freed: deque[float] = deque(maxlen=LATEST)

    def freed(self) -> None:
        self._freed.append(self._clock())

    def expected(self) -> float:
        """Seconds from one place that becomes free to the next, the time since the last one included."""
        if not self._freed:
            return UNKNOWN
        mean = (self._clock() - self._freed[0]) / len(self._freed)
        return min(max(mean, SHORTEST), LONGEST)
