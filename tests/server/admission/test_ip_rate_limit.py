"""Test how often streams may be requested from one address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.admission.ip_rate_limit import IpRateLimit, customer_of


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_address_may_send_a_burst_and_then_at_the_rate() -> None:
    clock = Clock()
    limit = IpRateLimit(2.0, burst=3, clock=clock)
    assert [limit.wait("192.0.2.1") for _ in range(3)] == [0, 0, 0]
    assert limit.wait("192.0.2.1") == pytest.approx(0.5)
    clock.now += 0.5
    assert limit.wait("192.0.2.1") == 0
    assert limit.wait("192.0.2.1") == pytest.approx(0.5)


def test_refused_attempt_takes_no_token() -> None:
    clock = Clock()
    limit = IpRateLimit(1.0, burst=1, clock=clock)
    limit.wait("192.0.2.1")
    clock.now += 0.5
    for _ in range(10):
        assert limit.wait("192.0.2.1") == pytest.approx(0.5)


def test_each_address_has_its_own_bucket() -> None:
    limit = IpRateLimit(1.0, burst=1, clock=Clock())
    assert [limit.wait(f"192.0.2.{n}") for n in range(4)] == [0, 0, 0, 0]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", None])
def test_loopback_is_not_limited(host: str | None) -> None:
    limit = IpRateLimit(1.0, burst=1, clock=Clock())
    assert [limit.wait(host) for _ in range(4)] == [0, 0, 0, 0]
    assert len(limit) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("a name", "a name", True),
    ],
)
def test_customer_is_an_ipv4_address_or_an_ipv6_network(one: str, other: str, same: bool) -> None:
    assert (customer_of(one) == customer_of(other)) == same


def test_least_recent_address_is_forgotten() -> None:
    limit = IpRateLimit(1.0, burst=1, max_addresses=2, clock=Clock())
    for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        assert limit.wait(host) == 0
    assert len(limit) == 2
    assert limit.wait("192.0.2.3") > 0
    assert limit.wait("192.0.2.1") == 0


@given(
    st.floats(0.1, 100),
    st.integers(1, 20),
    st.lists(st.tuples(st.floats(0, 2), st.sampled_from(["192.0.2.1", "192.0.2.2"])), max_size=100),
)
def test_no_interval_exceeds_burst_and_rate(
    rate: float, burst: int, attempts: list[tuple[float, str]]
) -> None:
    clock = Clock()
    limit = IpRateLimit(rate, burst, clock=clock)
    came: dict[str, list[float]] = {}
    for pause, host in attempts:
        clock.now += pause
        wait = limit.wait(host)
        if wait == 0:
            came.setdefault(host, []).append(clock.now)
    for times in came.values():
        for first in range(len(times)):
            for last in range(first, len(times)):
                assert last - first + 1 <= burst + rate * (times[last] - times[first]) + 1e-6


@given(st.floats(0.1, 100), st.integers(1, 20), st.lists(st.floats(0, 0.1), min_size=1, max_size=60))
def test_request_after_the_wait_is_allowed(rate: float, burst: int, pauses: list[float]) -> None:
    clock = Clock()
    limit = IpRateLimit(rate, burst, clock=clock)
    for pause in pauses:
        clock.now += pause
        wait = limit.wait("192.0.2.1")
        if wait > 0:
            clock.now += wait + 1e-6
            assert limit.wait("192.0.2.1") == 0
