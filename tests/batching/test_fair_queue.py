"""Test the order of the fair queue, and the sums over its tickets."""

from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batching.batcher import FairQueue, Ticket, TicketQueue

SOURCES = "abcd"


def filled(*entries: str) -> FairQueue[str]:
    """Return a queue of entries whose first letters are their sources."""
    queue: FairQueue[str] = FairQueue()
    for entry in entries:
        queue.append(entry, entry[0])
    return queue


def emptied(queue: FairQueue[str]) -> list[str]:
    return [queue.pop() for _ in range(len(queue))]


def test_entries_of_one_source_are_in_order() -> None:
    assert emptied(filled("a1", "a2", "a3")) == ["a1", "a2", "a3"]


def test_single_entries_of_many_sources_are_in_order() -> None:
    assert emptied(filled("c1", "a1", "b1")) == ["c1", "a1", "b1"]


def test_source_with_many_entries_waits_for_others() -> None:
    assert emptied(filled("a1", "a2", "a3", "b1", "c1", "b2")) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_first_entry_is_the_next_popped() -> None:
    queue = filled("a1", "a2", "b1")
    while queue:
        first = queue.first()
        assert queue.pop() == first


def test_removed_entry_is_not_popped() -> None:
    queue = filled("a1", "a2", "b1")
    queue.remove("a1", "a")
    queue.remove("b1", "b")
    assert (len(queue), list(queue)) == (1, ["a2"])
    assert emptied(queue) == ["a2"]


def test_empty_queue_has_no_first_entry() -> None:
    with pytest.raises(StopIteration):
        filled().first()


@given(st.lists(st.one_of(st.sampled_from(SOURCES), st.none(), st.integers(0, 50)), max_size=200))
def test_at_most_one_later_entry_of_each_source_goes_first(
    steps: list[str | int | None],
) -> None:
    """A letter appends an entry of that source, None pops one, a number removes that waiting entry."""
    queue: FairQueue[tuple[str, int]] = FairQueue()
    waiting: deque[tuple[str, int]] = deque()
    overtaken: dict[tuple[str, int], Counter[str]] = {}
    for number, step in enumerate(steps):
        if isinstance(step, str):
            entry = (step, number)
            queue.append(entry, step)
            waiting.append(entry)
            overtaken[entry] = Counter()
        elif waiting and step is None:
            taken = queue.pop()
            assert taken == min(entry for entry in waiting if entry[0] == taken[0])  # oldest of its source
            waiting.remove(taken)
            for entry in waiting:
                if taken[1] > entry[1]:
                    overtaken[entry][taken[0]] += 1
                    assert overtaken[entry][taken[0]] <= 1
        elif waiting and isinstance(step, int):
            entry = waiting[step % len(waiting)]
            queue.remove(entry, entry[0])
            waiting.remove(entry)
        assert len(queue) == len(waiting)
        assert sorted(queue) == sorted(waiting)


def ticket(number: int, source: str, cost: float) -> Ticket[int, int]:
    return Ticket(number, 0, lambda _: None, float(number), source, cost)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(SOURCES), st.floats(0.0, 30.0)),  # append with a cost
            st.none(),  # pop
            st.integers(0, 50),  # remove
        ),
        max_size=200,
    )
)
def test_cost_and_longest_wait_equal_those_of_a_walk(
    steps: list[tuple[str, float] | int | None],
) -> None:
    queue: TicketQueue[int, int] = TicketQueue()
    for number, step in enumerate(steps):
        waiting = sorted(queue, key=lambda each: each.urgent_since)
        if isinstance(step, tuple):
            queue.append(ticket(number, *step), step[0])
        elif waiting and step is None:
            queue.pop()
        elif waiting and isinstance(step, int):
            removed = waiting[step % len(waiting)]
            queue.remove(removed, removed.source)
        waiting = sorted(queue, key=lambda each: each.urgent_since)
        assert queue.cost == pytest.approx(sum(each.cost for each in waiting), abs=1e-9)
        assert queue.longest_waiting is (waiting[0] if waiting else None)


def test_empty_queue_costs_exactly_nothing() -> None:
    queue: TicketQueue[int, int] = TicketQueue()
    for number in range(3):
        queue.append(ticket(number, "a", 0.1), "a")
    for _ in range(3):
        queue.pop()
    assert queue.cost == 0.0
