"""Accounts: what a key has open, and how much sound it has sent within the hour."""

from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.clip import SAMPLE_RATE
from server.admission.quotas import FAR, HOUR, Quotas, SlidingHour
from server.auth.api_keys import ANYONE, ApiKey, Principal
from server.errors import ClientError
from tests.server.admission.test_ip_rate_limit import Clock


def caller(name: str = "ann", **bounds: float) -> Principal:
    sessions = bounds.get("sessions")
    key = ApiKey(
        name,
        b"",
        None,
        None if sessions is None else int(sessions),
        audio_seconds_per_hour=bounds.get("seconds"),
    )
    return Principal(key)


def test_a_key_has_no_more_streams_open_than_it_may() -> None:
    accounts, ann = Quotas(Clock()), caller(sessions=2)
    with accounts.open(ann):
        with accounts.open(ann):
            refused = accounts.refusal(ann)
            assert refused is not None
            assert (refused.code, refused.status, refused.close) == ("session_limit_reached", 429, 4029)
            with pytest.raises(ClientError), accounts.open(ann):
                pass
        assert accounts.refusal(ann) is None


def test_another_key_has_places_of_its_own() -> None:
    accounts = Quotas(Clock())
    with accounts.open(caller("ann", sessions=1)):
        assert accounts.refusal(caller("bob", sessions=1)) is None


def test_a_stream_that_fails_makes_room_all_the_same() -> None:
    accounts, ann = Quotas(Clock()), caller(sessions=1)
    with pytest.raises(KeyboardInterrupt), accounts.open(ann):
        raise KeyboardInterrupt
    assert accounts.refusal(ann) is None


def test_a_token_has_a_bound_of_its_own_within_its_keys() -> None:
    accounts = Quotas(Clock())
    key = ApiKey("ann", b"")
    one, other = (Principal(key, token=name, token_sessions=1) for name in ("one", "other"))
    with accounts.open(one):
        refused = accounts.refusal(one)
        assert refused is not None
        assert refused.code == "session_limit_reached"
        assert accounts.refusal(other) is None
    assert accounts.refusal(one) is None


def test_where_there_are_no_keys_nothing_is_bounded() -> None:
    accounts = Quotas(Clock())
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(accounts.open(ANYONE)).check(10**9)
        assert accounts.refusal(ANYONE) is None


def test_a_key_that_has_sent_its_sound_begins_nothing_until_it_is_an_hour_old() -> None:
    clock = Clock()
    accounts, ann = Quotas(clock), caller(seconds=100)
    with accounts.open(ann) as meter:
        meter.count(60 * SAMPLE_RATE)
        assert accounts.refusal(ann) is None
        clock.now += 600
        meter.count(100 * SAMPLE_RATE)
    refused = accounts.refusal(ann)
    assert refused is not None
    assert (refused.code, refused.status) == ("rate_limit_exceeded", 429)
    assert refused.retry_after is not None
    clock.now += refused.retry_after - 1
    assert accounts.refusal(ann) is not None
    clock.now += 1
    assert accounts.refusal(ann) is None


def test_what_runs_goes_on_until_it_is_far_beyond_the_bound() -> None:
    accounts, ann = Quotas(Clock()), caller(seconds=100)
    with accounts.open(ann) as meter:
        meter.check(149 * SAMPLE_RATE)
        with pytest.raises(ClientError) as ended:
            meter.check(round(FAR * 100) * SAMPLE_RATE)
        assert (ended.value.code, ended.value.close) == ("rate_limit_exceeded", 4029)


def test_all_streams_of_a_key_count_together_and_no_sample_twice() -> None:
    accounts, ann = Quotas(Clock()), caller(seconds=100)
    with accounts.open(ann) as one, accounts.open(ann) as other:
        for received in (10, 30, 30, 49):
            one.count(received * SAMPLE_RATE)
            other.count(received * SAMPLE_RATE)
        assert accounts.refusal(ann) is None
        one.count(51 * SAMPLE_RATE)
        assert accounts.refusal(ann) is not None


@given(st.lists(st.tuples(st.floats(0, 1500), st.floats(0, 100)), max_size=80))
def test_an_hour_is_never_taken_for_less_than_it_was_nor_for_more_than_a_minute_more(
    sent: list[tuple[float, float]],
) -> None:
    hour, now = SlidingHour(), 0.0
    times: list[tuple[float, float]] = []
    for pause, seconds in sent:
        now += pause
        hour.add(seconds, now)
        times.append((now, seconds))
        least = sum(seconds for at, seconds in times if at > now - HOUR)
        most = sum(seconds for at, seconds in times if at > now - HOUR - 60)
        assert least - 1e-6 <= hour.seconds <= most + 1e-6


@given(
    st.lists(st.tuples(st.floats(0, 600), st.integers(0, 100)), min_size=1, max_size=40), st.integers(1, 500)
)
def test_after_the_wait_there_is_room_and_a_little_before_there_is_not(
    sent: list[tuple[float, int]], bound: int
) -> None:
    hour, now = SlidingHour(), 0.0
    for pause, seconds in sent:
        now += pause
        hour.add(seconds, now)
    wait = hour.wait(bound, now)
    assert (wait > 0) == (hour.seconds >= bound)
    if wait > 1:
        hour.forget(now + wait - 1)
        assert hour.seconds >= bound
    hour.forget(now + wait)
    assert hour.seconds < bound


def test_a_stream_that_was_let_in_before_is_counted_from_where_it_goes_on() -> None:
    accounts = Quotas()
    caller = Principal(ApiKey("a", b"", max_sessions=1, audio_seconds_per_hour=10.0))
    with accounts.open(caller), accounts.open(caller, anyway=True) as meter:
        meter.begin_at(3_600 * SAMPLE_RATE)
        meter.count(3_605 * SAMPLE_RATE)
        meter.check(3_614 * SAMPLE_RATE)
        with pytest.raises(ClientError):
            meter.check(3_616 * SAMPLE_RATE)
