"""Errors that a client is told of."""

import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import errors
from server.errors import ClientError
from tests.server.running import ROOT

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
