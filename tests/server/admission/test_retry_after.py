"""Test the estimate of when a stream ends."""

from server.admission.retry_after import DEFAULT_SECONDS, MAX_SECONDS, MIN_SECONDS, RetryAfterEstimate
from tests.server.admission.test_ip_rate_limit import Clock


def test_estimate_is_a_default_before_any_end() -> None:
    assert RetryAfterEstimate(Clock()).expected() == DEFAULT_SECONDS


def test_estimate_is_the_mean_interval() -> None:
    clock = Clock()
    estimate = RetryAfterEstimate(clock)
    for _ in range(20):
        clock.now += 4.0
        estimate.freed()
    clock.now += 4.0
    assert estimate.expected() == 4.0


def test_estimate_grows_while_no_stream_ends() -> None:
    clock = Clock()
    estimate = RetryAfterEstimate(clock)
    estimate.freed()
    assert estimate.expected() == MIN_SECONDS
    clock.now += 30
    assert estimate.expected() == 30
    clock.now += 3000
    assert estimate.expected() == MAX_SECONDS
