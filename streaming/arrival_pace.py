"""Pace: how a stream's sound goes with the clock. Pure but for the clock it is given."""

from collections.abc import Callable
from typing import Final

from audio.clip import seconds_from_samples

AHEAD_SECONDS: Final = 5.0  # of sound that was recorded before the stream began
DRIFT: Final = 1.02  # no sound card's clock is so fast


class ArrivalPace:
    """Of one stream, from now on. clock: seconds"""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._heard = 0

    def hear(self, samples: int) -> None:
        """So many more have come."""
        self._heard += samples

    @property
    def is_ahead(self) -> bool:
        """Whether more sound has come than can have been spoken meanwhile: then it is a file's."""
        spoken = DRIFT * (self._clock() - self._began)
        return seconds_from_samples(self._heard) > spoken + AHEAD_SECONDS

    def lag(self, unjudged: int) -> float:
        """Seconds by which the detector is behind what was spoken, of what waits for it; none where that is
        ahead of the clock.

        unjudged: samples that wait
        """
        behind = self._clock() - self._began - seconds_from_samples(self._heard - unjudged)
        return max(0.0, min(behind, seconds_from_samples(unjudged)))
