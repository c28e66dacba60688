"""Overload: how far recognition is behind, and what follows from it. Pure: the lag is told to it."""

from enum import IntEnum
from typing import Final

from server.errors import ClientError, overloaded
from streaming.degradation import NO_DEGRADATION, Degradation
from streaming.utterance import TaskKind


class ShedLevel(IntEnum):
    """Each does what those before it do, and more. Finals are given up at none."""

    CALM = 0
    SPREAD = 1  # partials come less often
    NO_PARTIALS = 2
    NO_EAGER = 3  # finals begin when their pause is over
    FULL = 4  # no new streams


SHARES: Final = {
    ShedLevel.SPREAD: 0.1,
    ShedLevel.NO_PARTIALS: 0.2,
    ShedLevel.NO_EAGER: 0.4,
    ShedLevel.FULL: 1.0,
}  # of the most
LEAVE: Final = 0.5  # of the lag at which a step begins: there it ends
AHEAD: Final = 10.0  # seconds in which what a stream asks for that is let in now has to be done
# Of the first step's lag: what is expected counts once so much is there, until hardly any is. Demand alone
# is a guess: larger batches may be cheaper, and streams that are open may not speak.
LEAST: Final = 0.25
HARDLY: Final = 0.05
SPREAD: Final = 4
RELIEFS: Final = {
    ShedLevel.CALM: NO_DEGRADATION,
    ShedLevel.SPREAD: Degradation(SPREAD),
    ShedLevel.NO_PARTIALS: Degradation(SPREAD, frozenset({TaskKind.PARTIAL})),
    ShedLevel.NO_EAGER: Degradation(SPREAD, frozenset({TaskKind.PARTIAL, TaskKind.EAGER})),
    ShedLevel.FULL: Degradation(SPREAD, frozenset({TaskKind.PARTIAL, TaskKind.EAGER})),
}


class LoadShedder:
    """max_lag: seconds that finals may wait before no new stream is let in. Where more are open than the
    recognizers can follow, the lag shows that too late: so one that is to be expected counts, too.
    """

    def __init__(self, max_lag: float) -> None:
        self.step = ShedLevel.CALM
        self.crowded = False  # with those that are open the lag would grow
        self.lag = 0.0
        self.demand = 0.0
        self._max_lag = max_lag

    def update(self, lag: float, demand: float = 0.0) -> None:
        """lag: seconds that finals wait now; demand: the part of the recognizers' time that is needed"""
        self.lag, self.demand = lag, demand
        while self.step < ShedLevel.FULL and lag >= self._begins(ShedLevel(self.step + 1)):
            self.step = ShedLevel(self.step + 1)
        while self.step > ShedLevel.CALM and lag < LEAVE * self._begins(self.step):
            self.step = ShedLevel(self.step - 1)
        bound = self._begins(ShedLevel.SPREAD)
        if self.expected >= bound and lag >= LEAST * bound:
            self.crowded = True
        elif self.expected < LEAVE * bound or lag < HARDLY * bound:
            self.crowded = False

    @property
    def expected(self) -> float:
        """Seconds of lag AHEAD of now, with the streams that are open."""
        return self.lag + (self.demand - 1) * AHEAD

    @property
    def relief(self) -> Degradation:
        return RELIEFS[self.step]

    def refusal(self, turnover: float = 0.0) -> ClientError | None:
        """Why no stream can be let in now: until the lag is short enough, as what waits is done within it;
        and where too many are open, until one has ended.

        turnover: seconds from one that ends to the next, of late
        """
        if self.step < ShedLevel.FULL and not self.crowded:
            return None
        enough = LEAVE * self._begins(ShedLevel.SPREAD) + max(0.0, 1 - self.demand) * AHEAD
        if self.step is ShedLevel.FULL:
            enough = min(enough, LEAVE * self._begins(ShedLevel.FULL))
        wait = max(self.lag - enough, turnover if self.demand >= 1 else 0.0)
        return overloaded(f"Recognition is {self.lag:.1f} s behind.", retry_after=wait)

    def _begins(self, step: ShedLevel) -> float:
        return SHARES[step] * self._max_lag
