"""The shelf: who is unloaded, when, and for whom there is no room."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.memory_budget import BudgetExceeded, MemoryBudget, Reservation


def loaded(
    shelf: MemoryBudget, name: str, memory: int = 0, at: float = 0.0, *, stays: bool = False
) -> Reservation:
    place = shelf.add(name, stays=stays)
    shelf.weigh(place, memory)
    shelf.put(place, at)
    return place


def test_what_nobody_has_used_for_so_long_goes() -> None:
    shelf = MemoryBudget(budget=0, idle_seconds=60)
    place = loaded(shelf, "a", at=5)
    assert shelf.next_departure() == 65
    assert shelf.clear(64.9) == []
    assert shelf.clear(65) == [place]
    assert (len(shelf), shelf.next_departure()) == (0, None)


def test_use_begins_the_time_anew() -> None:
    shelf = MemoryBudget(budget=0, idle_seconds=60)
    place = loaded(shelf, "a")
    shelf.take(place)
    assert (shelf.next_departure(), shelf.clear(1000)) == (None, [])
    shelf.give_back(place, 1000)
    assert shelf.next_departure() == 1060


def test_without_a_time_it_stays_for_ever_and_so_does_the_default() -> None:
    patient, hasty = MemoryBudget(budget=0, idle_seconds=0), MemoryBudget(budget=0, idle_seconds=1)
    loaded(patient, "a")
    loaded(hasty, "default", stays=True)
    for shelf in (patient, hasty):
        assert (shelf.next_departure(), shelf.clear(1e9)) == (None, [])


def test_what_loads_does_not_go() -> None:
    shelf = MemoryBudget(budget=10, idle_seconds=1)
    place = shelf.add("a")
    shelf.weigh(place, 10)
    assert shelf.clear(1e9) == []
    with pytest.raises(BudgetExceeded):
        shelf.weigh(shelf.add("b"), 1)


def test_a_replaced_one_goes_with_the_last_of_its_users_though_it_was_the_default() -> None:
    shelf = MemoryBudget(budget=0, idle_seconds=0)
    old = loaded(shelf, "a", stays=True)
    shelf.take(old)
    new = loaded(shelf, "a")
    shelf.replace(old, new)
    assert shelf.clear(1) == []
    shelf.give_back(old, 2)
    assert shelf.clear(2) == [old]
    assert (old.stays, new.stays) == (False, True)


def test_the_one_that_was_idle_longest_makes_room_and_no_more_than_is_needed() -> None:
    shelf = MemoryBudget(budget=100, idle_seconds=0)
    loaded(shelf, "late", 30, at=3)
    early = loaded(shelf, "early", 30, at=1)
    loaded(shelf, "used", 30, at=0).users = 1
    assert shelf.weigh(shelf.add("new"), 40) == [early]
    assert shelf.memory == 100


def test_where_too_little_is_idle_nothing_goes() -> None:
    shelf = MemoryBudget(budget=100, idle_seconds=0)
    loaded(shelf, "idle", 30)
    shelf.take(loaded(shelf, "used", 60))
    place = shelf.add("new")
    with pytest.raises(BudgetExceeded, match="new takes"):
        shelf.weigh(place, 60)
    assert (len(shelf), shelf.memory) == (2, 90)


def test_the_default_is_loaded_though_it_is_larger_than_all_that_there_is() -> None:
    shelf = MemoryBudget(budget=100, idle_seconds=0)
    assert shelf.weigh(shelf.add("default", stays=True), 300) == []


class Visits(RuleBasedStateMachine):
    """Recognizers come, are used and go in any order, as engine/model_pool.py has them do."""

    BUDGET = 100

    def __init__(self) -> None:
        super().__init__()
        self.shelf = MemoryBudget(budget=self.BUDGET, idle_seconds=10)
        self.now = 0.0
        self.there: list[Reservation] = []

    def unloaded(self, going: list[Reservation]) -> None:
        for place in going:
            assert place.users == 0
            assert place.loaded
            assert not place.stays
            self.there.remove(place)

    def pick(self, number: int, *, loaded: bool = True) -> Reservation | None:
        fitting = [place for place in self.there if place.loaded or not loaded]
        return fitting[number % len(fitting)] if fitting else None

    def weigh(self, place: Reservation, memory: int) -> None:
        before = list(self.there), self.shelf.memory
        try:
            self.unloaded(self.shelf.weigh(place, memory))
        except BudgetExceeded:
            assert (self.there, self.shelf.memory) == before
            assert not place.stays
            self.shelf.remove(place)
            self.there.remove(place)
        else:
            assert place.stays or self.shelf.memory <= self.BUDGET

    @rule(memory=st.integers(0, 120))
    def begins_to_load(self, memory: int) -> None:
        place = self.shelf.add("m")
        self.there.append(place)
        self.weigh(place, memory)

    @precondition(lambda self: not any(place.stays for place in self.there))
    @rule(memory=st.integers(0, 120))
    def the_default_begins_to_load(self, memory: int) -> None:
        place = self.shelf.add("default", stays=True)
        self.there.append(place)
        self.weigh(place, memory)

    @rule(number=st.integers(0, 99), memory=st.integers(0, 120))
    def is_loaded(self, number: int, memory: int) -> None:
        place = self.pick(number, loaded=False)
        if place is not None and not place.loaded:
            self.weigh(place, memory)
            if place in self.there:
                self.shelf.put(place, self.now)

    @rule(number=st.integers(0, 99))
    def is_taken(self, number: int) -> None:
        place = self.pick(number, loaded=False)
        if place is not None and not place.replaced:
            self.shelf.take(place)

    @rule(number=st.integers(0, 99))
    def is_given_back(self, number: int) -> None:
        place = self.pick(number)
        if place is not None and place.users:
            self.shelf.give_back(place, self.now)

    @rule(number=st.integers(0, 99), successor=st.integers(0, 99))
    def is_replaced(self, number: int, successor: int) -> None:
        old, new = self.pick(number), self.pick(successor)
        if old is not None and new is not None and not (old is new or old.replaced or new.replaced):
            self.shelf.replace(old, new)

    @rule(seconds=st.floats(0, 20))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds
        self.unloaded(self.shelf.clear(self.now))

    @invariant()
    def all_that_is_there_is_counted(self) -> None:
        assert self.shelf.memory == sum(place.memory for place in self.there)
        assert len(self.shelf) == sum(place.loaded for place in self.there)

    @invariant()
    def what_may_go_has_a_time(self) -> None:
        waiting = [place for place in self.there if place.idle and not place.stays]
        departure = self.shelf.next_departure()
        assert (departure is not None) == bool(waiting)


Visits.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestVisits = Visits.TestCase
