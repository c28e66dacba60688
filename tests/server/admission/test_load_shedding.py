"""Overload: what is given up as recognition falls behind, in which order, and when it comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.admission.load_shedding import LEAVE, RELIEFS, SHARES, LoadShedder, ShedLevel
from streaming.utterance import TaskKind

LAGS = st.floats(0, 40)


def after(*lags: float) -> LoadShedder:
    overload = LoadShedder(10.0)
    for lag in lags:
        overload.update(lag)
    return overload


def test_while_recognition_keeps_up_nothing_is_given_up() -> None:
    calm = after(0.9)
    assert (calm.step, calm.relief.spread, calm.relief.sheds) == (ShedLevel.CALM, 1, frozenset())
    assert calm.refusal() is None


def test_partials_are_spread_out_then_shed_then_eager_finals_then_new_streams_refused() -> None:
    sheds = [after(lag).relief.sheds for lag in (1.0, 2.0, 4.0, 10.0)]
    assert sheds == [
        set(),
        {TaskKind.PARTIAL},
        {TaskKind.PARTIAL, TaskKind.EAGER},
        {TaskKind.PARTIAL, TaskKind.EAGER},
    ]
    assert [after(lag).relief.spread > 1 for lag in (0.9, 1.0, 10.0)] == [False, True, True]
    assert [after(lag).refusal() is None for lag in (9.9, 10.0)] == [True, False]


def test_a_step_lasts_until_the_lag_is_half_of_where_it_began() -> None:
    assert after(10.0, 5.1).step is ShedLevel.FULL
    assert after(10.0, 4.9).step is ShedLevel.NO_EAGER
    assert after(10.0, 1.9).step is ShedLevel.NO_PARTIALS
    assert after(10.0, 0.0).step is ShedLevel.CALM


def test_a_refusal_says_when_the_lag_will_be_short_enough() -> None:
    refused = after(17.0).refusal()
    assert refused is not None
    assert (refused.code, refused.close, refused.retry_after) == ("server_overloaded", 1013, 12.0)
    refused = crowded((4.5, 0.75)).refusal()
    assert refused is not None
    assert refused.retry_after == 1.5


def crowded(*course: tuple[float, float]) -> LoadShedder:
    """After lags, each with the demand at that time."""
    overload = LoadShedder(10.0)
    for lag, demand in course:
        overload.update(lag, demand)
    return overload


def test_where_more_streams_are_open_than_can_be_followed_no_others_are_let_in_at_the_first_lag() -> None:
    assert crowded((0.3, 1.05)).refusal() is None
    assert crowded((0.3, 1.08)).refusal() is not None
    assert crowded((0.2, 3.0)).refusal() is None  # nothing waits yet: the estimate may be wrong
    assert crowded((0.3, 1.5)).relief.sheds == set()


def test_what_waits_counts_less_where_it_will_be_done_before_more_is_asked_for() -> None:
    assert crowded((3.0, 0.7)).refusal() is None
    assert crowded((3.0, 0.9)).refusal() is not None
    assert crowded((10.0, 0.0)).refusal() is not None  # beyond the bound it always counts


def test_others_are_refused_until_those_that_are_open_will_be_followed_again() -> None:
    assert crowded((1.5, 1.2), (0.1, 1.2)).refusal() is not None
    assert crowded((1.5, 1.2), (0.2, 1.05)).refusal() is not None
    assert crowded((1.5, 1.2), (0.4, 1.0)).refusal() is None


@given(st.lists(st.tuples(LAGS, st.floats(0, 100))), st.floats(0, 100))
def test_whatever_was_expected_nobody_is_refused_while_nothing_waits(
    course: list[tuple[float, float]], demand: float
) -> None:
    assert crowded(*course, (0.0, demand)).refusal() is None


def test_who_is_refused_for_the_number_of_streams_may_come_when_one_of_them_has_ended() -> None:
    overload = crowded((1.5, 1.0))  # the lag falls by a second in a second, if nothing more comes
    refused, later = overload.refusal(), overload.refusal(turnover=7.0)
    assert refused is not None
    assert later is not None
    assert (refused.retry_after, later.retry_after) == (1.0, 7.0)


@given(st.lists(LAGS), LAGS, LAGS)
def test_more_lag_never_gives_up_less(before: list[float], one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert after(*before, less).step <= after(*before, more).step


@given(st.lists(LAGS, min_size=1))
def test_the_step_is_one_whose_lag_was_reached_and_not_left(lags: list[float]) -> None:
    overload = after(*lags)
    if overload.step > ShedLevel.CALM:
        assert lags[-1] >= LEAVE * SHARES[overload.step] * 10.0
    if overload.step < ShedLevel.FULL:
        assert lags[-1] < SHARES[ShedLevel(overload.step + 1)] * 10.0


@pytest.mark.parametrize("step", list(ShedLevel))
def test_finals_are_given_up_at_no_step_and_each_gives_up_what_those_before_it_do(step: ShedLevel) -> None:
    assert not RELIEFS[step].sheds & {TaskKind.FINAL, TaskKind.BULK}
    for before in range(step):
        assert RELIEFS[ShedLevel(before)].sheds <= RELIEFS[step].sheds
        assert RELIEFS[ShedLevel(before)].spread <= RELIEFS[step].spread
