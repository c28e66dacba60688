"""Arrivals: when the samples of a live stream came in. The one place that ties samples to the wall clock."""

from bisect import bisect_left
from typing import Final

from audio.clip import SAMPLE_RATE

SPACING: Final = SAMPLE_RATE // 10
MOST: Final = 128  # so about 13 s at the least: longer than any silence that ends an utterance


class Arrivals:
    """Notes where the stream stood, and when, once for each 100 ms; beyond MOST the oldest are forgotten.

    Within a note's stretch samples are taken to have come evenly: they were spoken so.
    """

    def __init__(self, now: float) -> None:
        self._samples = [0]  # received until then
        self._times = [now]

    def note(self, received: int, now: float) -> None:
        """So many samples of the stream have come by now (seconds)."""
        if received < self._samples[-1] + SPACING:
            return
        self._samples.append(received)
        self._times.append(now)
        if len(self._samples) > MOST:
            del self._samples[0], self._times[0]

    def when(self, sample: int) -> float | None:
        """When it came; None for one that is forgotten, or that has not been noted yet."""
        place = bisect_left(self._samples, sample)
        if place == len(self._samples) or sample < self._samples[0]:
            return None
        if self._samples[place] == sample:
            return self._times[place]
        (before, after), (began, ended) = (
            self._samples[place - 1 : place + 1],
            self._times[place - 1 : place + 1],
        )
        return began + (ended - began) * (sample - before) / (after - before)
