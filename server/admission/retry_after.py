"""Estimate when a stream is likely to end, for the retry_after of refusals."""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

HISTORY: Final = 16  # ended streams that are considered
DEFAULT_SECONDS: Final = 5.0  # before any stream has ended
MIN_SECONDS: Final = 1.0
MAX_SECONDS: Final = 60.0


class RetryAfterEstimate:
    """Estimate the interval between ends of streams from the latest ones.

    clock: returns the time, in seconds
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._freed: deque[float] = deque(maxlen=HISTORY)

    def freed(self) -> None:
        """Record that a stream has ended."""
        self._freed.append(self._clock())

    def expected(self) -> float:
        """Return the mean seconds between two ends of streams, including the time since the last one."""
        if not self._freed:
            return DEFAULT_SECONDS
        mean = (self._clock() - self._freed[0]) / len(self._freed)
        return min(max(mean, MIN_SECONDS), MAX_SECONDS)
