"""Compare the amount of audio that arrived on a stream with the time that passed."""

from collections.abc import Callable
from typing import Final

from audio.clip import seconds_from_samples

MAX_AHEAD_SECONDS: Final = 5.0  # of audio that a live client may have recorded before the stream began
MAX_CLOCK_DRIFT: Final = 1.02  # faster than the clock of any sound card


class ArrivalPace:
    """Judge the pace of one stream. `clock` returns seconds; the stream began at `began`, or begins now."""

    def __init__(self, clock: Callable[[], float], began: float | None = None) -> None:
        self._clock = clock
        self._began = clock() if began is None else began

    def is_ahead(self, arrived: int) -> bool:
        """Return whether more samples arrived than can have been spoken meanwhile: the source is a file."""
        spoken = MAX_CLOCK_DRIFT * (self._clock() - self._began)
        return seconds_from_samples(arrived) > spoken + MAX_AHEAD_SECONDS

    def lag(self, arrived: int, unjudged: int) -> float:
        """Return the seconds by which the detector is behind what was spoken; 0 if it is ahead of the clock.

        arrived: samples that arrived; unjudged: those among them that wait for the detector
        """
        behind = self._clock() - self._began - seconds_from_samples(arrived - unjudged)
        return max(0.0, min(behind, seconds_from_samples(unjudged)))
