"""Test the errors that are sent to clients."""

import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import errors
from server.errors import ApiError, ClientError, invalid, missing, too_large, try_again
from tests.server.live_server import ROOT

FACTORIES = [
    (errors.models_not_ready(), "models_not_ready", 1013),
    (errors.overloaded("full"), "server_overloaded", 1013),
    (errors.restarting(), "server_restarting", 1012),
    (errors.internal("oh"), "internal_error", 1011),
]


@pytest.mark.parametrize(("error", "code", "close"), FACTORIES, ids=[code for _, code, _ in FACTORIES])
def test_errors_of_the_server_close_and_are_retryable(error: ClientError, code: str, close: int) -> None:
    assert (error.code, error.close, error.retryable) == (code, close, True)
    assert error.as_event()["error"] == {
        "type": "server_error",
        "code": code,
        "message": error.message,
        "param": None,
        "event_id": None,
        "retryable": True,
    }


@pytest.mark.parametrize(("error", "code", "close"), FACTORIES, ids=[code for _, code, _ in FACTORIES])
def test_the_document_has_the_same_close_codes(error: ClientError, code: str, close: int) -> None:
    rows = re.findall(rf"^\| `{code}` \|.*\| (.*) \|$", (ROOT / "docs/protocol.md").read_text(), re.M)
    assert rows == [f"closes {close}"]


def test_missing_models_have_the_message_that_clients_know() -> None:
    assert errors.models_not_ready().message == "Server models not initialized."


@given(code=st.text(), message=st.text(), param=st.none() | st.text(), event_id=st.none() | st.text())
def test_an_error_event_has_the_fields_of_both_protocols(
    code: str, message: str, param: str | None, event_id: str | None
) -> None:
    event = orjson.loads(orjson.dumps(ClientError(code, message, param=param, event_id=event_id).as_event()))
    assert event["type"] == "error"
    assert event["message"] == event["error"]["message"] == message
    assert event["error"]["type"] == "invalid_request_error"
    assert (event["error"]["param"], event["error"]["event_id"]) == (param, event_id)


def test_an_error_reads_as_its_message() -> None:
    assert str(ClientError("invalid_value", "too large")) == "too large"


def test_client_limits_are_retryable_and_have_a_wait() -> None:
    for error in (errors.session_limit_reached(2, 7.0), errors.rate_limited("too much", 7.0)):
        assert (error.close, error.status, error.retryable, error.retry_after) == (4029, 429, True, 7.0)
        assert not error.server


def test_all_client_limits_have_one_code_for_openai() -> None:
    error = errors.as_rate_limit(errors.session_limit_reached(2, 7.0))
    assert (error.code, error.reason) == ("rate_limit_exceeded", "invalid_request_error.rate_limit_exceeded")
    assert (error.close, error.status, error.retry_after) == (4029, 429, 7.0)
    other = errors.overloaded("full")
    assert errors.as_rate_limit(other) is other


@pytest.mark.parametrize(
    ("error", "status", "type_", "param", "code"),
    [
        (invalid("x", "language"), 400, "invalid_request_error", "language", "invalid_value"),
        (missing("file"), 400, "invalid_request_error", "file", "missing_required_parameter"),
        (too_large(10, 11), 413, "server_error", None, None),
        (try_again("x", "models_not_ready"), 503, "server_error", None, "models_not_ready"),
        (ApiError(404, "x"), 404, "invalid_request_error", None, None),
        (ApiError(500, "x"), 500, "server_error", None, None),
    ],
)
def test_an_error_body_always_has_four_fields(
    error: ApiError, status: int, type_: str, param: str | None, code: str | None
) -> None:
    assert error.status == status
    assert error.as_body() == {
        "error": {"message": error.message, "type": type_, "param": param, "code": code}
    }


def test_too_large_has_the_message_of_openai() -> None:
    assert str(too_large(26214400, 26214500)) == (
        "Maximum content size limit (26214400) exceeded (26214500 bytes read)"
    )


def test_a_retryable_error_has_a_retry_after_header() -> None:
    assert int(try_again("x", "y").headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("seconds", "header"), [(None, "1"), (0.0, "1"), (0.2, "1"), (6.1, "7"), (3600.0, "3600")]
)
def test_retry_after_is_rounded_up_to_whole_seconds(seconds: float | None, header: str) -> None:
    error = try_again("later", "rate_limit_exceeded", status=429, retry_after=seconds)
    assert (error.status, error.headers) == (429, {"retry-after": header})
