"""Shelf: which recognizers take up memory, who uses them, and which have to go. Without I/O and a clock.

Seconds are of any clock that does not run backwards; memory is counted in bytes.
"""

from dataclasses import dataclass
from typing import Final

MIB: Final = 1 << 20
NEVER: Final = float("inf")


class BudgetExceeded(Exception):
    """The budget would be passed, and too little is idle to be unloaded. Nothing was changed."""


@dataclass(eq=False, slots=True)
class Reservation:
    """What one recognizer takes up, from when it begins to load.

    stays: is not unloaded for being idle or in the way: the default
    memory: as expected, once that is known, then as measured
    users: those who hold it, and those who wait for it to be loaded
    loaded: may be lent; before that it goes only by itself
    idle_since: when it was loaded, or the last of its users left
    replaced: another one is lent in its stead; it goes with the last of its users
    """

    name: str
    stays: bool = False
    memory: int = 0
    users: int = 0
    loaded: bool = False
    idle_since: float = 0.0
    replaced: bool = False

    @property
    def idle(self) -> bool:
        return self.loaded and self.users == 0


class MemoryBudget:
    """The places. Those that a method returns have been taken off, and are to be unloaded.

    budget: what all places together may take; 0 is no bound. A default that is larger is loaded all the same,
        but not in another one's stead
    idle_seconds: after which an idle one goes; 0 is never
    """

    def __init__(self, *, budget: int, idle_seconds: float) -> None:
        self.budget = budget
        self.idle_seconds = idle_seconds
        self._places: list[Reservation] = []

    def __len__(self) -> int:
        """Recognizers that are loaded, replaced ones with users included."""
        return sum(place.loaded for place in self._places)

    @property
    def memory(self) -> int:
        return sum(place.memory for place in self._places)

    def add(self, name: str, *, stays: bool = False) -> Reservation:
        """A place for one that begins to load; what it takes is told later."""
        place = Reservation(name, stays)
        self._places.append(place)
        return place

    def remove(self, place: Reservation) -> None:
        """Idempotent."""
        if place in self._places:
            self._places.remove(place)

    def weigh(self, place: Reservation, memory: int) -> list[Reservation]:
        """Notes what a place takes; what must go for it, longest idle first. Raises NoRoom."""
        others = self.memory - place.memory
        surplus = others + memory - self.budget if self.budget else 0
        going: list[Reservation] = []
        for other in sorted(self._places, key=lambda each: each.idle_since):
            if surplus > 0 and other is not place and other.idle and not other.stays:
                going.append(other)
                surplus -= other.memory
        if surplus > 0 and not place.stays:
            raise BudgetExceeded(
                f"{place.name} takes {memory / MIB:.0f} MiB, {others / MIB:.0f} of {self.budget / MIB:.0f} "
                "are taken, and too little of that is idle"
            )
        place.memory = memory
        for other in going:
            self.remove(other)
        return going

    def put(self, place: Reservation, now: float) -> None:
        """It is loaded."""
        place.loaded = True
        place.idle_since = now

    def take(self, place: Reservation) -> None:
        place.users += 1

    def give_back(self, place: Reservation, now: float) -> None:
        place.users -= 1
        place.idle_since = now

    def replace(self, place: Reservation, successor: Reservation) -> None:
        """It is lent to nobody any more."""
        place.replaced = True
        place.stays, successor.stays = False, place.stays

    def clear(self, now: float) -> list[Reservation]:
        """Those that nobody will miss."""
        going = [place for place in self._places if self._leaves_at(place) <= now]
        for place in going:
            self.remove(place)
        return going

    def next_departure(self) -> float | None:
        """When there is something to clear, if nobody takes or gives back until then."""
        soonest = min(map(self._leaves_at, self._places), default=NEVER)
        return soonest if soonest < NEVER else None

    def _leaves_at(self, place: Reservation) -> float:
        if not place.idle or place.stays:
            return NEVER
        if place.replaced:
            return place.idle_since
        return place.idle_since + self.idle_seconds if self.idle_seconds else NEVER
