"""Turnover: how soon a place is likely to become free."""

from server.admission.retry_after import LONGEST, SHORTEST, UNKNOWN, RetryAfterEstimate
from tests.server.admission.test_ip_rate_limit import Clock


def test_before_any_place_became_free_it_is_a_guess() -> None:
    assert RetryAfterEstimate(Clock()).expected() == UNKNOWN


def test_places_become_free_as_often_as_of_late() -> None:
    clock = Clock()
    turnover = RetryAfterEstimate(clock)
    for _ in range(20):
        clock.now += 4.0
        turnover.freed()
    clock.now += 4.0
    assert turnover.expected() == 4.0


def test_the_longer_none_became_free_the_longer_it_takes() -> None:
    clock = Clock()
    turnover = RetryAfterEstimate(clock)
    turnover.freed()
    assert turnover.expected() == SHORTEST
    clock.now += 30
    assert turnover.expected() == 30
    clock.now += 3000
    assert turnover.expected() == LONGEST
