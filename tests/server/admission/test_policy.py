"""Limits: who may begin a stream, in which order that is asked, and when to come again."""

from typing import Any

import pytest

from server.admission.ip_rate_limit import IpRateLimit
from server.admission.load_shedding import LoadShedder
from server.admission.policy import AdmissionPolicy, no_limits
from server.admission.quotas import Quotas
from server.auth.api_keys import CALLER, ApiKey, Principal
from server.errors import ClientError
from tests.server.admission.test_ip_rate_limit import Clock

ANN = Principal(ApiKey("ann", b"", max_sessions=0))


def limits(burst: int = 9, lag: float = 0.0) -> AdmissionPolicy:
    overload = LoadShedder(10.0)
    return AdmissionPolicy(
        overload, IpRateLimit(0.1, burst, clock=Clock()), Quotas(), lambda: overload.update(lag)
    )


def scope(caller: Principal | None = None, host: str = "192.0.2.1") -> dict[str, Any]:
    return {"type": "websocket", "client": (host, 4711)} | ({CALLER: caller} if caller else {})


def refused(limits: AdmissionPolicy, scope: dict[str, Any], *, comes_back: bool = False) -> ClientError:
    with pytest.raises(ClientError) as refusal:
        limits.check(scope, comes_back=comes_back)
    return refusal.value


def test_an_address_that_asks_too_often_is_told_when_to_come_again() -> None:
    bounded = limits(burst=1)
    bounded.check(scope())
    error = refused(bounded, scope())
    assert (error.code, error.status) == ("rate_limit_exceeded", 429)
    assert error.retry_after == pytest.approx(10)


def test_who_comes_back_to_its_session_has_its_place_but_may_not_come_without_end() -> None:
    bounded = limits(burst=1, lag=99.0)
    bounded.check(scope(ANN), comes_back=True)
    assert refused(bounded, scope(ANN), comes_back=True).code == "rate_limit_exceeded"


def test_a_key_hears_of_its_own_limit_before_that_of_the_server() -> None:
    assert refused(limits(lag=99.0), scope(ANN)).code == "session_limit_reached"


def test_nobody_begins_while_recognition_is_too_far_behind() -> None:
    assert refused(limits(lag=10.0), scope()).code == "server_overloaded"
    limits(lag=9.9).check(scope())


def test_what_has_no_address_is_not_counted() -> None:
    bounded = limits(burst=1)
    for _ in range(3):
        bounded.check({"type": "websocket", "client": None})
        bounded.check({"type": "websocket"})


def test_without_limits_everybody_may() -> None:
    for _ in range(1000):
        no_limits().check(scope())


def test_a_stream_is_of_who_asks() -> None:
    with pytest.raises(ClientError), limits().account(scope(ANN)):
        pass
    with limits().account(scope()) as meter:
        meter.count(16_000)
