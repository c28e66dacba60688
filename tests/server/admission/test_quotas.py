"""Test the quotas of keys: open streams, and audio within the hour."""

from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.clip import SAMPLE_RATE
from server.admission.quotas import HARD_LIMIT_RATIO, HOUR_SECONDS, Quotas, SlidingHour
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


def test_streams_of_a_key_are_limited() -> None:
    quotas, ann = Quotas(Clock()), caller(sessions=2)
    with quotas.open(ann):
        with quotas.open(ann):
            refused = quotas.refusal(ann)
            assert refused is not None
            assert (refused.code, refused.status, refused.close) == ("session_limit_reached", 429, 4029)
            with pytest.raises(ClientError), quotas.open(ann):
                pass
        assert quotas.refusal(ann) is None


def test_each_key_has_its_own_quota() -> None:
    quotas = Quotas(Clock())
    with quotas.open(caller("ann", sessions=1)):
        assert quotas.refusal(caller("bob", sessions=1)) is None


def test_failed_stream_is_no_longer_counted() -> None:
    quotas, ann = Quotas(Clock()), caller(sessions=1)
    with pytest.raises(KeyboardInterrupt), quotas.open(ann):
        raise KeyboardInterrupt
    assert quotas.refusal(ann) is None


def test_token_has_its_own_limit() -> None:
    quotas = Quotas(Clock())
    key = ApiKey("ann", b"")
    one, other = (Principal(key, token=name, token_sessions=1) for name in ("one", "other"))
    with quotas.open(one):
        refused = quotas.refusal(one)
        assert refused is not None
        assert refused.code == "session_limit_reached"
        assert quotas.refusal(other) is None
    assert quotas.refusal(one) is None


def test_without_keys_nothing_is_limited() -> None:
    quotas = Quotas(Clock())
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(quotas.open(ANYONE)).check(10**9)
        assert quotas.refusal(ANYONE) is None


def test_key_with_used_audio_quota_waits_for_an_hour() -> None:
    clock = Clock()
    quotas, ann = Quotas(clock), caller(seconds=100)
    with quotas.open(ann) as meter:
        meter.count(60 * SAMPLE_RATE)
        assert quotas.refusal(ann) is None
        clock.now += 600
        meter.count(100 * SAMPLE_RATE)
    refused = quotas.refusal(ann)
    assert refused is not None
    assert (refused.code, refused.status) == ("rate_limit_exceeded", 429)
    assert refused.retry_after is not None
    clock.now += refused.retry_after - 1
    assert quotas.refusal(ann) is not None
    clock.now += 1
    assert quotas.refusal(ann) is None


def test_running_stream_ends_at_the_hard_limit() -> None:
    quotas, ann = Quotas(Clock()), caller(seconds=100)
    with quotas.open(ann) as meter:
        meter.check(149 * SAMPLE_RATE)
        with pytest.raises(ClientError) as ended:
            meter.check(round(HARD_LIMIT_RATIO * 100) * SAMPLE_RATE)
        assert (ended.value.code, ended.value.close) == ("rate_limit_exceeded", 4029)


def test_audio_of_each_channel_counts() -> None:
    quotas, ann = Quotas(Clock()), caller(seconds=100)
    with quotas.open(ann) as meter:
        meter.channels = 2
        meter.count(49 * SAMPLE_RATE)
        assert quotas.refusal(ann) is None
        meter.count(50 * SAMPLE_RATE)
        assert quotas.refusal(ann) is not None


def test_streams_of_a_key_add_up_without_double_counting() -> None:
    quotas, ann = Quotas(Clock()), caller(seconds=100)
    with quotas.open(ann) as one, quotas.open(ann) as other:
        for received in (10, 30, 30, 49):
            one.count(received * SAMPLE_RATE)
            other.count(received * SAMPLE_RATE)
        assert quotas.refusal(ann) is None
        one.count(51 * SAMPLE_RATE)
        assert quotas.refusal(ann) is not None


@given(st.lists(st.tuples(st.floats(0, 1500), st.floats(0, 100)), max_size=80))
def test_sliding_hour_is_exact_to_a_minute(
    sent: list[tuple[float, float]],
) -> None:
    hour, now = SlidingHour(), 0.0
    times: list[tuple[float, float]] = []
    for pause, seconds in sent:
        now += pause
        hour.add(seconds, now)
        times.append((now, seconds))
        least = sum(seconds for at, seconds in times if at > now - HOUR_SECONDS)
        most = sum(seconds for at, seconds in times if at > now - HOUR_SECONDS - 60)
        assert least - 1e-6 <= hour.seconds <= most + 1e-6


@given(
    st.lists(st.tuples(st.floats(0, 600), st.integers(0, 100)), min_size=1, max_size=40), st.integers(1, 500)
)
def test_wait_ends_when_the_sum_is_below_the_bound(sent: list[tuple[float, int]], bound: int) -> None:
    hour, now = SlidingHour(), 0.0
    for pause, seconds in sent:
        now += pause
        hour.add(seconds, now)
    wait = hour.wait(bound, now)
    assert (wait > 0) == (hour.seconds >= bound)
    if wait > 1:
        hour.expire(now + wait - 1)
        assert hour.seconds >= bound
    hour.expire(now + wait)
    assert hour.seconds < bound


def test_recovered_stream_counts_only_new_audio() -> None:
    quotas = Quotas()
    caller = Principal(ApiKey("a", b"", max_sessions=1, audio_seconds_per_hour=10.0))
    with quotas.open(caller), quotas.open(caller, force=True) as meter:
        meter.start_at(3_600 * SAMPLE_RATE)
        meter.count(3_605 * SAMPLE_RATE)
        meter.check(3_614 * SAMPLE_RATE)
        with pytest.raises(ClientError):
            meter.check(3_616 * SAMPLE_RATE)
