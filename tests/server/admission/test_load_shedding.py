"""Test what is shed as recognition falls behind, in which order, and when it ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.admission.load_shedding import DEGRADATIONS, EXIT_RATIO, LAG_RATIOS, LoadShedder, ShedLevel
from streaming.utterance import TaskKind

LAGS = st.floats(0, 40)


def after(*lags: float) -> LoadShedder:
    shedder = LoadShedder(10.0)
    for lag in lags:
        shedder.update(lag)
    return shedder


def test_nothing_is_shed_while_recognition_keeps_up() -> None:
    calm = after(0.9)
    assert (calm.level, calm.degradation.partial_interval_factor, calm.degradation.shed_kinds) == (
        ShedLevel.CALM,
        1,
        frozenset(),
    )
    assert calm.refusal() is None


def test_each_level_sheds_more_as_the_lag_grows() -> None:
    sheds = [after(lag).degradation.shed_kinds for lag in (1.0, 2.0, 4.0, 10.0)]
    assert sheds == [
        set(),
        {TaskKind.PARTIAL},
        {TaskKind.PARTIAL, TaskKind.EAGER},
        {TaskKind.PARTIAL, TaskKind.EAGER},
    ]
    assert [after(lag).degradation.partial_interval_factor > 1 for lag in (0.9, 1.0, 10.0)] == [
        False,
        True,
        True,
    ]
    assert [after(lag).refusal() is None for lag in (9.9, 10.0)] == [True, False]


def test_level_lasts_until_half_of_its_entry_lag() -> None:
    assert after(10.0, 5.1).level is ShedLevel.FULL
    assert after(10.0, 4.9).level is ShedLevel.NO_EAGER
    assert after(10.0, 1.9).level is ShedLevel.NO_PARTIALS
    assert after(10.0, 0.0).level is ShedLevel.CALM


def test_retry_after_is_when_the_lag_is_short_enough() -> None:
    refused = after(17.0).refusal()
    assert refused is not None
    assert (refused.code, refused.close, refused.retry_after) == ("server_overloaded", 1013, 12.0)
    refused = loaded((4.5, 0.75)).refusal()
    assert refused is not None
    assert refused.retry_after == 1.5


def loaded(*course: tuple[float, float]) -> LoadShedder:
    """Return a load shedder after lags, each with the demand at that time."""
    shedder = LoadShedder(10.0)
    for lag, demand in course:
        shedder.update(lag, demand)
    return shedder


def test_predicted_lag_refuses_streams_once_there_is_lag() -> None:
    assert loaded((0.3, 1.05)).refusal() is None
    assert loaded((0.3, 1.08)).refusal() is not None
    assert loaded((0.2, 3.0)).refusal() is None  # there is no lag yet: the estimate may be wrong
    assert loaded((0.3, 1.5)).degradation.shed_kinds == set()


def test_spare_capacity_offsets_lag_below_the_maximum() -> None:
    assert loaded((3.0, 0.7)).refusal() is None
    assert loaded((3.0, 0.9)).refusal() is not None
    assert loaded((10.0, 0.0)).refusal() is not None  # the maximum always counts


def test_saturation_ends_below_its_exit_lag() -> None:
    assert loaded((1.5, 1.2), (0.1, 1.2)).refusal() is not None
    assert loaded((1.5, 1.2), (0.2, 1.05)).refusal() is not None
    assert loaded((1.5, 1.2), (0.4, 1.0)).refusal() is None


@given(st.lists(st.tuples(LAGS, st.floats(0, 100))), st.floats(0, 100))
def test_no_stream_is_refused_without_lag(course: list[tuple[float, float]], demand: float) -> None:
    assert loaded(*course, (0.0, demand)).refusal() is None


def test_saturated_server_suggests_when_a_stream_ends() -> None:
    shedder = loaded((1.5, 1.0))  # the lag falls by a second in a second, if nothing more comes
    refused, later = shedder.refusal(), shedder.refusal(retry_after=7.0)
    assert refused is not None
    assert later is not None
    assert (refused.retry_after, later.retry_after) == (1.0, 7.0)


@given(st.lists(LAGS), LAGS, LAGS)
def test_more_lag_never_sheds_less(before: list[float], one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert after(*before, less).level <= after(*before, more).level


@given(st.lists(LAGS, min_size=1))
def test_level_is_one_that_was_entered_and_not_left(lags: list[float]) -> None:
    shedder = after(*lags)
    if shedder.level > ShedLevel.CALM:
        assert lags[-1] >= EXIT_RATIO * LAG_RATIOS[shedder.level] * 10.0
    if shedder.level < ShedLevel.FULL:
        assert lags[-1] < LAG_RATIOS[ShedLevel(shedder.level + 1)] * 10.0


@pytest.mark.parametrize("step", list(ShedLevel))
def test_levels_are_cumulative_and_never_shed_finals(step: ShedLevel) -> None:
    assert not DEGRADATIONS[step].shed_kinds & {TaskKind.FINAL, TaskKind.BULK}
    for before in range(step):
        assert DEGRADATIONS[ShedLevel(before)].shed_kinds <= DEGRADATIONS[step].shed_kinds
        assert (
            DEGRADATIONS[ShedLevel(before)].partial_interval_factor
            <= DEGRADATIONS[step].partial_interval_factor
        )
