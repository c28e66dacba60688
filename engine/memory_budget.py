"""Decide which recognizers are unloaded, from their memory, users and idle time; without I/O and clock.

Times are seconds of any monotonic clock; memory is counted in bytes.
"""

from dataclasses import dataclass
from typing import Final

MIB: Final = 1 << 20
NEVER: Final = float("inf")


class BudgetExceeded(Exception):
    """The budget would be exceeded, and unloading all idle models is not enough; nothing was changed."""


@dataclass(eq=False, slots=True)
class Reservation:
    """Hold the memory and the use of one recognizer, from the start of loading.

    pinned: whether it is never evicted; true for the default recognizer
    memory: expected bytes, later the measured bytes
    users: number of sessions that use it or wait for it to be loaded
    loaded: whether it can be used; until then it is not evicted
    idle_since: time when it was loaded or when its last user left
    replaced: whether another one serves new sessions; it is evicted after its last user leaves
    """

    name: str
    pinned: bool = False
    memory: int = 0
    users: int = 0
    loaded: bool = False
    idle_since: float = 0.0
    replaced: bool = False

    @property
    def idle(self) -> bool:
        """Return whether it is loaded and unused."""
        return self.loaded and self.users == 0


class MemoryBudget:
    """Keep the reservations of all recognizers.

    Reservations that a method returns have been removed; the caller unloads their recognizers.

    budget: most bytes of all reservations together; 0 for no limit. A pinned recognizer is loaded even if it
        exceeds the budget, but it then still evicts only idle ones
    idle_seconds: time after which an idle recognizer is evicted; 0 for never
    """

    def __init__(self, *, budget: int, idle_seconds: float) -> None:
        self.budget = budget
        self.idle_seconds = idle_seconds
        self._reservations: list[Reservation] = []

    def __len__(self) -> int:
        """Return the number of loaded recognizers, including replaced ones that still have users."""
        return sum(reservation.loaded for reservation in self._reservations)

    @property
    def memory(self) -> int:
        """Return the bytes of all reservations."""
        return sum(reservation.memory for reservation in self._reservations)

    def add(self, name: str, *, pinned: bool = False) -> Reservation:
        """Add a reservation without memory for a recognizer that begins to load."""
        reservation = Reservation(name, pinned)
        self._reservations.append(reservation)
        return reservation

    def remove(self, reservation: Reservation) -> None:
        """Remove a reservation, if it is there."""
        if reservation in self._reservations:
            self._reservations.remove(reservation)

    def reserve(self, reservation: Reservation, memory: int) -> list[Reservation]:
        """Set the memory of a reservation and return those evicted for it, longest idle first.

        Raises BudgetExceeded.
        """
        others = self.memory - reservation.memory
        surplus = others + memory - self.budget if self.budget else 0
        evicted: list[Reservation] = []
        for other in sorted(self._reservations, key=lambda each: each.idle_since):
            if surplus > 0 and other is not reservation and other.idle and not other.pinned:
                evicted.append(other)
                surplus -= other.memory
        if surplus > 0 and not reservation.pinned:
            raise BudgetExceeded(
                f"{reservation.name} takes {memory / MIB:.0f} MiB; {others / MIB:.0f} MiB of the budget of "
                f"{self.budget / MIB:.0f} MiB are in use, and too little of that is idle"
            )
        reservation.memory = memory
        for other in evicted:
            self.remove(other)
        return evicted

    def mark_loaded(self, reservation: Reservation, now: float) -> None:
        """Record that the recognizer is loaded."""
        reservation.loaded = True
        reservation.idle_since = now

    def acquire(self, reservation: Reservation) -> None:
        """Add a user."""
        reservation.users += 1

    def release(self, reservation: Reservation, now: float) -> None:
        """Remove a user."""
        reservation.users -= 1
        reservation.idle_since = now

    def replace(self, reservation: Reservation, successor: Reservation) -> None:
        """Mark a reservation as replaced by another one, which becomes pinned if this one was."""
        reservation.replaced = True
        reservation.pinned, successor.pinned = False, reservation.pinned

    def evict_idle(self, now: float) -> list[Reservation]:
        """Remove and return the reservations of recognizers that have been idle for too long."""
        evicted = [reservation for reservation in self._reservations if self._evicted_at(reservation) <= now]
        for reservation in evicted:
            self.remove(reservation)
        return evicted

    def next_eviction(self) -> float | None:
        """Return the time of the next eviction if no user comes or leaves until then, or None."""
        soonest = min(map(self._evicted_at, self._reservations), default=NEVER)
        return soonest if soonest < NEVER else None

    def _evicted_at(self, reservation: Reservation) -> float:
        if not reservation.idle or reservation.pinned:
            return NEVER
        if reservation.replaced:
            return reservation.idle_since
        return reservation.idle_since + self.idle_seconds if self.idle_seconds else NEVER
