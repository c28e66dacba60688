"""The memory budget decides which models are unloaded, when, and which ones do not fit."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.memory_budget import BudgetExceeded, MemoryBudget, Reservation
from tests.examples import examples


def loaded(
    reservations: MemoryBudget, name: str, memory: int = 0, at: float = 0.0, *, pinned: bool = False
) -> Reservation:
    reservation = reservations.add(name, pinned=pinned)
    reservations.reserve(reservation, memory)
    reservations.mark_loaded(reservation, at)
    return reservation


def test_idle_model_is_evicted_after_its_time() -> None:
    reservations = MemoryBudget(budget=0, idle_seconds=60)
    reservation = loaded(reservations, "a", at=5)
    assert reservations.next_eviction() == 65
    assert reservations.evict_idle(64.9) == []
    assert reservations.evict_idle(65) == [reservation]
    assert (len(reservations), reservations.next_eviction()) == (0, None)


def test_use_restarts_the_idle_time() -> None:
    reservations = MemoryBudget(budget=0, idle_seconds=60)
    reservation = loaded(reservations, "a")
    reservations.acquire(reservation)
    assert (reservations.next_eviction(), reservations.evict_idle(1000)) == (None, [])
    reservations.release(reservation, 1000)
    assert reservations.next_eviction() == 1060


def test_pinned_models_and_no_idle_time_prevent_eviction() -> None:
    patient, hasty = MemoryBudget(budget=0, idle_seconds=0), MemoryBudget(budget=0, idle_seconds=1)
    loaded(patient, "a")
    loaded(hasty, "default", pinned=True)
    for reservations in (patient, hasty):
        assert (reservations.next_eviction(), reservations.evict_idle(1e9)) == (None, [])


def test_loading_model_is_not_evicted() -> None:
    reservations = MemoryBudget(budget=10, idle_seconds=1)
    reservation = reservations.add("a")
    reservations.reserve(reservation, 10)
    assert reservations.evict_idle(1e9) == []
    with pytest.raises(BudgetExceeded):
        reservations.reserve(reservations.add("b"), 1)


def test_replaced_model_is_evicted_after_its_last_user() -> None:
    reservations = MemoryBudget(budget=0, idle_seconds=0)
    old = loaded(reservations, "a", pinned=True)
    reservations.acquire(old)
    new = loaded(reservations, "a")
    reservations.replace(old, new)
    assert reservations.evict_idle(1) == []
    reservations.release(old, 2)
    assert reservations.evict_idle(2) == [old]
    assert (old.pinned, new.pinned) == (False, True)


def test_longest_idle_models_are_evicted_as_needed() -> None:
    reservations = MemoryBudget(budget=100, idle_seconds=0)
    loaded(reservations, "late", 30, at=3)
    early = loaded(reservations, "early", 30, at=1)
    loaded(reservations, "used", 30, at=0).users = 1
    assert reservations.reserve(reservations.add("new"), 40) == [early]
    assert reservations.memory == 100


def test_nothing_is_evicted_if_too_little_is_idle() -> None:
    reservations = MemoryBudget(budget=100, idle_seconds=0)
    loaded(reservations, "idle", 30)
    reservations.acquire(loaded(reservations, "used", 60))
    reservation = reservations.add("new")
    with pytest.raises(BudgetExceeded, match="new takes"):
        reservations.reserve(reservation, 60)
    assert (len(reservations), reservations.memory) == (2, 90)


def test_default_is_loaded_even_above_the_budget() -> None:
    reservations = MemoryBudget(budget=100, idle_seconds=0)
    assert reservations.reserve(reservations.add("default", pinned=True), 300) == []


class Visits(RuleBasedStateMachine):
    """Load, use and unload recognizers in any order, like engine/model_pool.py."""

    BUDGET = 100

    def __init__(self) -> None:
        super().__init__()
        self.reservations = MemoryBudget(budget=self.BUDGET, idle_seconds=10)
        self.now = 0.0
        self.there: list[Reservation] = []

    def unloaded(self, evicted: list[Reservation]) -> None:
        for reservation in evicted:
            assert reservation.users == 0
            assert reservation.loaded
            assert not reservation.pinned
            self.there.remove(reservation)

    def pick(self, number: int, *, loaded: bool = True) -> Reservation | None:
        fitting = [reservation for reservation in self.there if reservation.loaded or not loaded]
        return fitting[number % len(fitting)] if fitting else None

    def reserve(self, reservation: Reservation, memory: int) -> None:
        before = list(self.there), self.reservations.memory
        try:
            self.unloaded(self.reservations.reserve(reservation, memory))
        except BudgetExceeded:
            assert (self.there, self.reservations.memory) == before
            assert not reservation.pinned
            self.reservations.remove(reservation)
            self.there.remove(reservation)
        else:
            assert reservation.pinned or self.reservations.memory <= self.BUDGET

    @rule(memory=st.integers(0, 120))
    def begins_to_load(self, memory: int) -> None:
        reservation = self.reservations.add("m")
        self.there.append(reservation)
        self.reserve(reservation, memory)

    @precondition(lambda self: not any(reservation.pinned for reservation in self.there))
    @rule(memory=st.integers(0, 120))
    def the_default_begins_to_load(self, memory: int) -> None:
        reservation = self.reservations.add("default", pinned=True)
        self.there.append(reservation)
        self.reserve(reservation, memory)

    @rule(number=st.integers(0, 99), memory=st.integers(0, 120))
    def is_loaded(self, number: int, memory: int) -> None:
        reservation = self.pick(number, loaded=False)
        if reservation is not None and not reservation.loaded:
            self.reserve(reservation, memory)
            if reservation in self.there:
                self.reservations.mark_loaded(reservation, self.now)

    @rule(number=st.integers(0, 99))
    def is_taken(self, number: int) -> None:
        reservation = self.pick(number, loaded=False)
        if reservation is not None and not reservation.replaced:
            self.reservations.acquire(reservation)

    @rule(number=st.integers(0, 99))
    def is_given_back(self, number: int) -> None:
        reservation = self.pick(number)
        if reservation is not None and reservation.users:
            self.reservations.release(reservation, self.now)

    @rule(number=st.integers(0, 99), successor=st.integers(0, 99))
    def is_replaced(self, number: int, successor: int) -> None:
        old, new = self.pick(number), self.pick(successor)
        if old is not None and new is not None and not (old is new or old.replaced or new.replaced):
            self.reservations.replace(old, new)

    @rule(seconds=st.floats(0, 20))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds
        self.unloaded(self.reservations.evict_idle(self.now))

    @invariant()
    def all_that_is_there_is_counted(self) -> None:
        assert self.reservations.memory == sum(reservation.memory for reservation in self.there)
        assert len(self.reservations) == sum(reservation.loaded for reservation in self.there)

    @invariant()
    def what_may_go_has_a_time(self) -> None:
        waiting = [reservation for reservation in self.there if reservation.idle and not reservation.pinned]
        departure = self.reservations.next_eviction()
        assert (departure is not None) == bool(waiting)


Visits.TestCase.settings = examples(60, stateful_step_count=30)
TestVisits = Visits.TestCase
