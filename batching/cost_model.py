"""Learn from finished batches how long other batches will take."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

# The first guess, as shares of the time: an item costs as much as so many units, and a batch nothing.
ITEM_UNITS: Final = 5.0
# Doubt about the first guess, as a fraction of the first batch's seconds. It is smaller for the part of the
# batch, so that of batches with one item each the item is taken to be the cause: a queue of many such items
# is then not expected to take as long as one.
FIRST_DOUBT: Final = np.array([0.5, 1.0, 1.0])
NOISE: Final = 0.1  # of the seconds of a batch, not explained by its items
SPEED_DRIFT: Final = 0.15  # of all rates together, from one batch to the next: the machine has other work
RATE_DRIFT: Final = 0.03  # of each rate alone, in relation to the seconds of a batch
MIN_SECONDS: Final = 1e-6


class CostModel:
    """Estimate seconds per batch, per item and per unit of cost; none is negative. It has no clock.

    A recognizer may take as long for half a second of speech as for thirty, or as long for one clip as for
    sixteen, so one pace does not describe it. The rates are those of a Kalman filter (Kalman 1960), whose
    state drifts: what batches have not shown for a while is kept, but doubted more and more.
    """

    def __init__(self) -> None:
        self._rates: NDArray[np.float64] = np.zeros(3)  # seconds per batch, item and unit
        self._doubt: NDArray[np.float64] | None = None  # their covariance; None before the first batch

    @property
    def batch_seconds(self) -> float:
        """Seconds of a batch beside those of its items."""
        return float(self._rates[0])

    def seconds(self, items: int, units: float, batches: float = 1.0) -> float:
        """Return the expected seconds for items that cost so many units in all; 0 before the first batch."""
        batch, item, unit = self._rates
        return float(batches * batch + items * item + units * unit)

    def learn(self, items: int, units: float, seconds: float) -> None:
        """Add the duration of one batch."""
        seconds = max(seconds, MIN_SECONDS)
        cause = np.array([1.0, items, units])
        largest = np.maximum(cause, 1.0)
        if self._doubt is None:
            shape = np.array([0.0, ITEM_UNITS, 1.0])
            self._rates = shape * (seconds / (shape @ cause))
            self._doubt = np.diag((FIRST_DOUBT * seconds / largest) ** 2)
        drift = np.outer(self._rates, self._rates) * SPEED_DRIFT**2
        doubt = self._doubt + drift + np.diag((RATE_DRIFT * seconds / largest) ** 2)
        expected = self._rates @ cause
        # A single batch that took far longer than expected is probably a disturbance: it counts for less.
        noise = NOISE**2 * seconds * max(seconds, expected)
        gain = doubt @ cause / (cause @ doubt @ cause + noise)
        self._rates = self._rates + gain * (seconds - expected)
        self._doubt = doubt - np.outer(gain, cause @ doubt)
        self._drop_negative_rates()

    def _drop_negative_rates(self) -> None:
        """Replace negative rates by 0, and change the others by what that says about them."""
        assert self._doubt is not None
        for _ in self._rates:
            lowest = int(self._rates.argmin())
            if self._rates[lowest] >= 0:
                break
            self._rates -= self._doubt[:, lowest] * (self._rates[lowest] / self._doubt[lowest, lowest])
            self._rates[lowest] = 0.0
        self._rates = np.maximum(self._rates, 0.0)
