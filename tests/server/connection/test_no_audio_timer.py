"""Test when a client counts as one that has stopped sending audio."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.connection.no_audio_timer import CHECKS, MAX_BURST_SECONDS, AudioGap, NoAudioTimer
from tests.waiting import until

INTERVAL = 0.5  # seconds between two checks
SECOND = 16_000


def reports(arrivals: list[float], *, busy: set[int] | None = None) -> list[int]:
    """Return the checks that report a gap.

    arrivals: seconds of audio that arrived before each check
    busy: checks at which the connection was not being read
    """
    gap, received, found = AudioGap(INTERVAL), 0, []
    for number, seconds in enumerate(arrivals):
        received += round(seconds * SECOND)
        if gap.check(received, number not in (busy or ())):
            found.append(number)
    return found


def test_a_gap_is_reported_once() -> None:
    assert reports([0.5, 0.5] + [0.0] * 20) == [1 + CHECKS]


def test_each_gap_is_reported() -> None:
    assert reports([0.5] + [0.0] * 5 + [0.5] + [0.0] * 20) == [CHECKS, 6 + CHECKS + 1]


def test_nothing_is_reported_before_the_first_audio() -> None:
    assert reports([0.0] * 50) == []


def test_time_in_which_the_server_does_not_read_is_not_counted() -> None:
    assert reports([0.5] + [0.0] * 20, busy={3}) == [3 + CHECKS]
    assert reports([0.5] + [0.0] * 20, busy=set(range(21))) == []


@pytest.mark.parametrize("every", [1, 3, 5, 8])
def test_a_client_that_sends_bursts_in_real_time_has_not_stopped(every: int) -> None:
    """It sends `every` seconds of audio after every `every` seconds."""
    burst = [0.0] * (round(every / INTERVAL) - 1) + [float(every)]
    assert reports(burst * 6) == []
    assert len(reports(burst * 6 + [0.0] * 60)) == 1


def test_a_file_sent_faster_than_real_time_is_not_waited_for() -> None:
    assert reports([60.0, 60.0] + [0.0] * 20) == [1 + CHECKS]


def test_a_burst_is_waited_for_within_a_bound() -> None:
    longest = CHECKS + round(MAX_BURST_SECONDS / INTERVAL)
    assert reports([0.0] * 600 + [300.0] + [0.0] * 600) == [600 + longest]


@given(st.lists(st.floats(0.001, 2.0), min_size=1, max_size=50))
def test_audio_without_gaps_is_never_reported(arrivals: list[float]) -> None:
    assert reports(arrivals) == []


async def test_timer_calls_back_once_until_it_is_stopped() -> None:
    timer, gaps, checks = NoAudioTimer(0.01), list[int](), list[int]()

    def observe() -> tuple[int, bool]:
        checks.append(len(checks))
        return 100, True

    timer.start(observe, lambda: gaps.append(len(checks)))
    await until(lambda: len(checks) > 3 * CHECKS)
    timer.stop()
    assert gaps == [1 + CHECKS]


async def test_timer_of_zero_seconds_never_checks() -> None:
    def observe() -> tuple[int, bool]:
        raise AssertionError("the timer is disabled")

    timer = NoAudioTimer(0)
    timer.start(observe, lambda: None)
    timer.stop()
