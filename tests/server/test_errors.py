"""Errors that a client is told of."""

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
def test_the_servers_own_errors_close_and_may_be_tried_again(
    error: ClientError, code: str, close: int
) -> None:
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
def test_the_document_closes_with_the_same_codes(error: ClientError, code: str, close: int) -> None:
    rows = re.findall(rf"^\| `{code}` \|.*\| (.*) \|$", (ROOT / "docs/protocol.md").read_text(), re.M)
    assert rows == [f"closes {close}"]


def test_models_that_are_not_there_have_the_sentence_that_clients_know() -> None:
    assert errors.models_not_ready().message == "Server models not initialized."


@given(code=st.text(), message=st.text(), param=st.none() | st.text(), event_id=st.none() | st.text())
def test_an_error_stands_in_two_shapes_at_once(
    code: str, message: str, param: str | None, event_id: str | None
) -> None:
    event = orjson.loads(orjson.dumps(ClientError(code, message, param=param, event_id=event_id).as_event()))
    assert event["type"] == "error"
    assert event["message"] == event["error"]["message"] == message
    assert event["error"]["type"] == "invalid_request_error"
    assert (event["error"]["param"], event["error"]["event_id"]) == (param, event_id)


def test_an_error_reads_as_its_message() -> None:
    assert str(ClientError("invalid_value", "too large")) == "too large"


def test_a_clients_own_limits_may_be_tried_again_and_say_when() -> None:
    for error in (errors.session_limit_reached(2, 7.0), errors.rate_limited("too much", 7.0)):
        assert (error.close, error.status, error.retryable, error.retry_after) == (4029, 429, True, 7.0)
        assert not error.server


def test_openai_has_one_code_for_all_of_them() -> None:
    told = errors.in_openai_words(errors.session_limit_reached(2, 7.0))
    assert (told.code, told.reason) == ("rate_limit_exceeded", "invalid_request_error.rate_limit_exceeded")
    assert (told.close, told.status, told.retry_after) == (4029, 429, 7.0)
    other = errors.overloaded("full")
    assert errors.in_openai_words(other) is other


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
def test_all_four_fields_are_always_there(
    error: ApiError, status: int, type_: str, param: str | None, code: str | None
) -> None:
    assert error.status == status
    assert error.as_body() == {
        "error": {"message": error.message, "type": type_, "param": param, "code": code}
    }


def test_too_many_bytes_are_told_in_openais_words() -> None:
    assert str(too_large(26214400, 26214500)) == (
        "Maximum content size limit (26214400) exceeded (26214500 bytes read)"
    )


def test_who_is_to_come_again_is_told_when() -> None:
    assert int(try_again("x", "y").headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("seconds", "header"), [(None, "1"), (0.0, "1"), (0.2, "1"), (6.1, "7"), (3600.0, "3600")]
)
def test_the_wait_is_told_in_whole_seconds_and_never_too_short(seconds: float | None, header: str) -> None:
    told = try_again("later", "rate_limit_exceeded", status=429, retry_after=seconds)
    assert (told.status, told.headers) == (429, {"retry-after": header})
