"""Demand: what part of the recognizers' time the open streams need."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.demand import MEMORY, Demand


def test_before_anything_was_asked_for_nothing_is_needed() -> None:
    demand = Demand()
    assert demand.share(7) == 0
    demand.learn(1.0, 0, 0.0)
    demand.learn(1.0, 5, 0.0)
    assert demand.share(7) == 0


def test_streams_that_have_just_come_are_expected_to_need_what_the_others_do() -> None:
    demand = Demand()
    for _ in range(10):
        demand.learn(1.0, 4, 0.4)
    assert demand.share(4) == pytest.approx(0.4)
    assert demand.share(40) == pytest.approx(4.0)


def test_what_was_learned_long_ago_counts_little() -> None:
    demand = Demand()
    demand.learn(1.0, 1, 1.0)
    for _ in range(round(5 * MEMORY)):
        demand.learn(1.0, 1, 0.1)
    assert demand.share(1) == pytest.approx(0.1, rel=0.01)


@given(st.lists(st.tuples(st.floats(0.01, 10), st.integers(0, 100), st.floats(0, 10)), max_size=50))
def test_it_is_never_less_than_nothing_and_nothing_without_streams(
    course: list[tuple[float, int, float]],
) -> None:
    demand = Demand()
    for seconds, streams, work in course:
        demand.learn(seconds, streams, work)
        assert demand.share(streams) >= 0
    assert demand.share(0) == 0
