"""Test when the lag of recognition is reported."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.degradation import NO_DEGRADATION, lag_to_report


def test_default_degradation_sheds_nothing() -> None:
    assert (NO_DEGRADATION.partial_interval_factor, NO_DEGRADATION.shed_kinds) == (1, frozenset())


@pytest.mark.parametrize(
    ("lag_ms", "told_ms", "expected"),
    [(0, 0, None), (249, 0, None), (250, 0, 250), (249, 250, 0), (4900, 4000, None), (5000, 4000, 5000)],
)
def test_lag_is_reported_when_it_changes_by_a_quarter(
    lag_ms: int, told_ms: int, expected: int | None
) -> None:
    assert lag_to_report(lag_ms, told_ms) == expected


@given(st.lists(st.integers(0, 60_000)))
def test_end_of_the_lag_is_always_reported(lags: list[int]) -> None:
    told = 0
    for lag in [*lags, 0]:
        shown = lag_to_report(lag, told)
        told = told if shown is None else shown
    assert told == 0
