"""Arrivals: when which sample came."""

from hypothesis import given
from hypothesis import strategies as st

from server.arrivals import MOST, SPACING, Arrivals


def test_a_sample_came_in_proportion_to_its_place_in_what_came_together() -> None:
    arrivals = Arrivals(10.0)
    arrivals.note(16_000, 11.0)
    arrivals.note(24_000, 13.0)
    assert [arrivals.when(sample) for sample in (0, 4_000, 16_000, 20_000, 24_000)] == [10, 10.25, 11, 12, 13]


def test_what_has_not_come_or_is_forgotten_has_no_time() -> None:
    arrivals = Arrivals(0.0)
    assert arrivals.when(1) is None
    for number in range(1, 2 * MOST):
        arrivals.note(number * SPACING, float(number))
    assert arrivals.when(0) is None
    assert arrivals.when((2 * MOST - 1) * SPACING) == 2 * MOST - 1


@given(st.lists(st.integers(1, 5_000), max_size=300), st.integers(0, 200_000))
def test_paced_sound_came_when_it_was_spoken_however_it_was_cut(cuts: list[int], sample: int) -> None:
    arrivals, received = Arrivals(0.0), 0
    for cut in cuts:
        received += cut
        arrivals.note(received, received / 16_000)
    when = arrivals.when(sample)
    assert when is None or abs(when - sample / 16_000) < 1e-9
    assert len(arrivals._samples) <= MOST
