"""When the client reconnects."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client import ConnectFailed, ConnectionLost, ReconnectPolicy
from client.reconnect_policy import is_worth_resuming, is_worth_retrying, may_retry, parse_retry_after

LUCK = st.floats(0, 1)


@given(st.lists(LUCK, min_size=20, max_size=20))
def test_delays_double_with_jitter_up_to_a_bound(luck: list[float]) -> None:
    draws = iter(luck)
    delays = list(
        islice(ReconnectPolicy(first_delay_seconds=0.1, max_delay_seconds=5).delays(lambda: next(draws)), 20)
    )
    longest = [min(0.1 * 2**n, 5) for n in range(20)]
    assert delays == pytest.approx([part * most for part, most in zip(luck, longest, strict=True)])


@pytest.mark.parametrize(
    ("code", "reason", "worth"),
    [
        (1001, "", True),
        (1005, "", True),
        (1006, "", True),
        (1011, "keepalive ping timeout", True),
        (4013, "slow_consumer", True),
        (1011, "internal_error", False),
        (1000, "", False),
        (1009, "message_too_large", False),
        (1012, "server_restarting", False),
        (1012, "session_kept", True),
        (1013, "server_overloaded", False),
        (4000, "resume_unknown", False),
        (4009, "resumed", False),
        (4029, "rate_limit_exceeded", False),
    ],
)
def test_only_unfinished_sessions_are_resumed(code: int, reason: str, worth: bool) -> None:
    assert is_worth_resuming(ConnectionLost(code, reason)) is worth


def test_starting_server_is_retried() -> None:
    assert is_worth_retrying(ConnectionLost(1013, "models_not_ready"))
    assert is_worth_retrying(ConnectionLost(1006, ""))
    assert not is_worth_retrying(ConnectionLost(4000, "resume_unknown"))
    assert is_worth_retrying(ConnectionLost(4029, "rate_limit_exceeded"))


@pytest.mark.parametrize(
    ("status", "later"),
    [
        (None, True),
        (429, True),
        (503, True),
        (500, True),
        (401, False),
        (403, False),
        (404, False),
        (400, False),
    ],
)
def test_refusals_are_temporary_or_permanent(status: int | None, later: bool) -> None:
    assert may_retry(ConnectFailed("", status)) is later


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("", None),
        ("-1", None),
        ("soon", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_retry_after_must_be_a_number(header: str, seconds: float | None) -> None:
    assert parse_retry_after(header) == seconds
