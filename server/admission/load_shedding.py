"""Decide what to shed when recognition falls behind. Pure: lag and demand are parameters."""

from enum import IntEnum
from typing import Final

from server.errors import ClientError, overloaded
from streaming.degradation import NO_DEGRADATION, Degradation
from streaming.utterance import TaskKind


class ShedLevel(IntEnum):
    """Order the levels of load shedding.

    Each level sheds what the level below it sheds, and more. No level sheds finals.
    """

    CALM = 0
    FEWER_PARTIALS = 1  # partials are less frequent
    NO_PARTIALS = 2
    NO_EAGER = 3  # no eager finals: transcription begins at the endpoint
    FULL = 4  # no new streams


LAG_RATIOS: Final = {
    ShedLevel.FEWER_PARTIALS: 0.1,
    ShedLevel.NO_PARTIALS: 0.2,
    ShedLevel.NO_EAGER: 0.4,
    ShedLevel.FULL: 1.0,
}  # lag at which a level begins, as a fraction of the maximum
EXIT_RATIO: Final = 0.5  # a level ends at this fraction of the lag at which it begins
HORIZON_SECONDS: Final = 10.0  # how far ahead the lag is predicted
# Fractions of the first level's lag. The predicted lag counts once the present lag exceeds the first one,
# until it is below the second one. Demand alone is a guess: larger batches may be cheaper, and streams may be
# silent.
SATURATION_ENTER_RATIO: Final = 0.25
SATURATION_EXIT_RATIO: Final = 0.05
PARTIAL_INTERVAL_FACTOR: Final = 4  # factor on the interval between partials
DEGRADATIONS: Final = {
    ShedLevel.CALM: NO_DEGRADATION,
    ShedLevel.FEWER_PARTIALS: Degradation(PARTIAL_INTERVAL_FACTOR),
    ShedLevel.NO_PARTIALS: Degradation(PARTIAL_INTERVAL_FACTOR, frozenset({TaskKind.PARTIAL})),
    ShedLevel.NO_EAGER: Degradation(PARTIAL_INTERVAL_FACTOR, frozenset({TaskKind.PARTIAL, TaskKind.EAGER})),
    ShedLevel.FULL: Degradation(PARTIAL_INTERVAL_FACTOR, frozenset({TaskKind.PARTIAL, TaskKind.EAGER})),
}


class LoadShedder:
    """Choose the shedding level from the lag, and refuse new streams under overload.

    If more streams are open than the recognizers can serve, the lag shows it too late. So the lag that is
    predicted from the demand counts as well.

    max_lag: seconds that finals may wait before new streams are refused
    """

    def __init__(self, max_lag: float) -> None:
        self.level = ShedLevel.CALM
        self.saturated = False  # the lag would grow with the streams that are open
        self.lag = 0.0
        self.demand = 0.0
        self._max_lag = max_lag

    def update(self, lag: float, demand: float = 0.0) -> None:
        """Set the level for the present load.

        lag: seconds that finals wait now
        demand: fraction of the recognizers' time that the open streams need; may exceed 1
        """
        self.lag, self.demand = lag, demand
        while self.level < ShedLevel.FULL and lag >= self._entry_lag(ShedLevel(self.level + 1)):
            self.level = ShedLevel(self.level + 1)
        while self.level > ShedLevel.CALM and lag < EXIT_RATIO * self._entry_lag(self.level):
            self.level = ShedLevel(self.level - 1)
        bound = self._entry_lag(ShedLevel.FEWER_PARTIALS)
        if self.predicted_lag >= bound and lag >= SATURATION_ENTER_RATIO * bound:
            self.saturated = True
        elif self.predicted_lag < EXIT_RATIO * bound or lag < SATURATION_EXIT_RATIO * bound:
            self.saturated = False

    @property
    def predicted_lag(self) -> float:
        """Return the lag in seconds that the open streams lead to within HORIZON_SECONDS."""
        return self.lag + (self.demand - 1) * HORIZON_SECONDS

    @property
    def degradation(self) -> Degradation:
        """Return what the live streams shed at the present level."""
        return DEGRADATIONS[self.level]

    def refusal(self, retry_after: float = 0.0) -> ClientError | None:
        """Return why no stream can be admitted now, or None if one can.

        Its retry_after is the time until the lag is short enough, if recognition works off what is queued. If
        too many streams are open, it is at least the time until one of them is expected to end.

        retry_after: expected seconds until a stream ends
        """
        if self.level < ShedLevel.FULL and not self.saturated:
            return None
        enough = (
            EXIT_RATIO * self._entry_lag(ShedLevel.FEWER_PARTIALS)
            + max(0.0, 1 - self.demand) * HORIZON_SECONDS
        )
        if self.level is ShedLevel.FULL:
            enough = min(enough, EXIT_RATIO * self._entry_lag(ShedLevel.FULL))
        wait = max(self.lag - enough, retry_after if self.demand >= 1 else 0.0)
        problem = f"Recognition is {self.lag:.1f} s behind"
        if self.level < ShedLevel.FULL:
            problem += ", and the open streams will soon need more than it can do"
        return overloaded(f"{problem}.", retry_after=wait)

    def _entry_lag(self, level: ShedLevel) -> float:
        """Return the lag in seconds at which a level begins."""
        return LAG_RATIOS[level] * self._max_lag
