"""Addresses: how often streams may be asked for from one of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.admission.ip_rate_limit import IpRateLimit, customer


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_an_address_may_come_in_a_burst_and_then_at_the_rate() -> None:
    clock = Clock()
    addresses = IpRateLimit(2.0, burst=3, clock=clock)
    assert [addresses.wait("192.0.2.1") for _ in range(3)] == [0, 0, 0]
    assert addresses.wait("192.0.2.1") == pytest.approx(0.5)
    clock.now += 0.5
    assert addresses.wait("192.0.2.1") == 0
    assert addresses.wait("192.0.2.1") == pytest.approx(0.5)


def test_an_attempt_that_is_refused_costs_nothing() -> None:
    clock = Clock()
    addresses = IpRateLimit(1.0, burst=1, clock=clock)
    addresses.wait("192.0.2.1")
    clock.now += 0.5
    for _ in range(10):
        assert addresses.wait("192.0.2.1") == pytest.approx(0.5)


def test_each_address_counts_by_itself() -> None:
    addresses = IpRateLimit(1.0, burst=1, clock=Clock())
    assert [addresses.wait(f"192.0.2.{n}") for n in range(4)] == [0, 0, 0, 0]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", None])
def test_this_machine_may_come_as_often_as_it_likes(host: str | None) -> None:
    addresses = IpRateLimit(1.0, burst=1, clock=Clock())
    assert [addresses.wait(host) for _ in range(4)] == [0, 0, 0, 0]
    assert len(addresses) == 0


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
def test_a_customer_is_an_address_or_a_network_of_them(one: str, other: str, same: bool) -> None:
    assert (customer(one) == customer(other)) == same


def test_of_more_addresses_than_it_holds_the_one_that_came_longest_ago_is_forgotten() -> None:
    addresses = IpRateLimit(1.0, burst=1, most=2, clock=Clock())
    for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        assert addresses.wait(host) == 0
    assert len(addresses) == 2
    assert addresses.wait("192.0.2.3") > 0
    assert addresses.wait("192.0.2.1") == 0


@given(
    st.floats(0.1, 100),
    st.integers(1, 20),
    st.lists(st.tuples(st.floats(0, 2), st.sampled_from(["192.0.2.1", "192.0.2.2"])), max_size=100),
)
def test_within_no_span_of_time_more_come_than_the_burst_and_the_rate(
    rate: float, burst: int, attempts: list[tuple[float, str]]
) -> None:
    clock = Clock()
    addresses = IpRateLimit(rate, burst, clock=clock)
    came: dict[str, list[float]] = {}
    for pause, host in attempts:
        clock.now += pause
        wait = addresses.wait(host)
        if wait == 0:
            came.setdefault(host, []).append(clock.now)
    for times in came.values():
        for first in range(len(times)):
            for last in range(first, len(times)):
                assert last - first + 1 <= burst + rate * (times[last] - times[first]) + 1e-6


@given(st.floats(0.1, 100), st.integers(1, 20), st.lists(st.floats(0, 0.1), min_size=1, max_size=60))
def test_who_waits_as_long_as_it_is_told_may_come(rate: float, burst: int, pauses: list[float]) -> None:
    clock = Clock()
    addresses = IpRateLimit(rate, burst, clock=clock)
    for pause in pauses:
        clock.now += pause
        wait = addresses.wait("192.0.2.1")
        if wait > 0:
            clock.now += wait + 1e-6
            assert addresses.wait("192.0.2.1") == 0
