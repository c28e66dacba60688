"""Test the conditions for a new stream, their order and the retry_after of refusals."""

from typing import Any

import pytest

from server.admission.ip_rate_limit import IpRateLimit
from server.admission.load_shedding import LoadShedder
from server.admission.policy import AdmissionPolicy, unlimited_policy
from server.admission.quotas import Quotas
from server.auth.api_keys import CALLER, ApiKey, Principal
from server.errors import ClientError
from tests.server.admission.test_ip_rate_limit import Clock

ANN = Principal(ApiKey("ann", b"", max_sessions=0))


def policy(burst: int = 9, lag: float = 0.0) -> AdmissionPolicy:
    shedder = LoadShedder(10.0)
    return AdmissionPolicy(
        shedder, IpRateLimit(0.1, burst, clock=Clock()), Quotas(), lambda: shedder.update(lag)
    )


def scope(caller: Principal | None = None, host: str = "192.0.2.1") -> dict[str, Any]:
    return {"type": "websocket", "client": (host, 4711)} | ({CALLER: caller} if caller else {})


def refused(policy: AdmissionPolicy, scope: dict[str, Any], *, resuming: bool = False) -> ClientError:
    with pytest.raises(ClientError) as refusal:
        policy.check(scope, resuming=resuming)
    return refusal.value


def test_rate_limit_refusal_has_a_retry_after() -> None:
    bounded = policy(burst=1)
    bounded.check(scope())
    error = refused(bounded, scope())
    assert (error.code, error.status) == ("rate_limit_exceeded", 429)
    assert error.retry_after == pytest.approx(10)


def test_resuming_is_only_rate_limited() -> None:
    bounded = policy(burst=1, lag=99.0)
    bounded.check(scope(ANN), resuming=True)
    assert refused(bounded, scope(ANN), resuming=True).code == "rate_limit_exceeded"


def test_quota_of_the_key_is_checked_before_the_load() -> None:
    assert refused(policy(lag=99.0), scope(ANN)).code == "session_limit_reached"


def test_stream_is_refused_if_recognition_is_too_far_behind() -> None:
    assert refused(policy(lag=10.0), scope()).code == "server_overloaded"
    policy(lag=9.9).check(scope())


def test_client_without_an_address_is_not_limited() -> None:
    bounded = policy(burst=1)
    for _ in range(3):
        bounded.check({"type": "websocket", "client": None})
        bounded.check({"type": "websocket"})


def test_unlimited_policy_refuses_no_client() -> None:
    for _ in range(1000):
        unlimited_policy().check(scope())


def test_usage_is_tracked_for_the_caller() -> None:
    with pytest.raises(ClientError), policy().track_usage(scope(ANN)):
        pass
    with policy().track_usage(scope()) as meter:
        meter.count(16_000)
