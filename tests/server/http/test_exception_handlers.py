"""Test that every error is answered in one shape."""

from collections.abc import Mapping
from typing import Any

import pytest
from fastapi import FastAPI, Response
from starlette.testclient import TestClient

from server.app import create_app
from server.errors import ApiError, ClientError, invalid, models_not_ready, rate_limited
from server.http.error_formats import ErrorFormats
from server.http.exception_handlers import add_exception_handlers, http_error_of
from server.http.request_id import RequestMiddleware
from server.observability.metrics import Metrics
from tests.server.live_server import free_settings


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    app.add_middleware(RequestMiddleware, metrics=Metrics())
    add_exception_handlers(app)

    @app.get("/v1/things/{number}")
    def thing(number: int) -> int:
        if number == 13:
            raise ZeroDivisionError
        if number == 14:
            raise models_not_ready()
        return number

    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("method", "path", "status", "param", "code"),
    [
        ("GET", "/v1/nothing", 404, None, None),
        ("GET", "/", 404, None, None),
        ("PUT", "/v1/things/1", 405, None, None),
        ("GET", "/v1/things/x", 400, "number", "invalid_value"),
        ("GET", "/v1/things/13", 500, None, "internal_error"),
        ("GET", "/v1/things/14", 503, None, "models_not_ready"),
    ],
)
def test_every_error_has_the_same_shape_and_an_id(
    client: TestClient, method: str, path: str, status: int, param: str | None, code: str | None
) -> None:
    answer = client.request(method, path)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (status, param, code)
    assert error.keys() == {"message", "type", "param", "code"}
    assert answer.headers["x-request-id"].startswith("req_")


def test_wrong_method_is_answered_with_allow(client: TestClient) -> None:
    assert client.put("/v1/things/1").headers["allow"] == "GET"


def test_errors_of_streams_have_an_http_status() -> None:
    assert http_error_of(models_not_ready()).status == 503
    assert http_error_of(ClientError("internal_error", "x", server=True, retryable=True)).status == 500
    assert http_error_of(ClientError("invalid_value", "x", param="model")).status == 400
    limited = http_error_of(rate_limited("x", 6.5))
    assert (limited.status, limited.code, limited.headers) == (
        429,
        "rate_limit_exceeded",
        {"retry-after": "7"},
    )


@pytest.fixture(scope="module")
def served() -> TestClient:
    return TestClient(create_app(free_settings()), base_url="http://localhost")


@pytest.mark.parametrize(
    ("path", "param", "message"),
    [
        ("/v1/jobs?limit=abc", "limit", "Invalid 'limit': it must be a whole number."),
        ("/v1/jobs?limit=0", "limit", "Invalid 'limit': it must be at least 1."),
        ("/v1/jobs/job_1/transcript?format=xyz", "format", "Invalid 'format': it must be 'json', 'text', "),
    ],
)
def test_bad_query_parameter_is_named(served: TestClient, path: str, param: str, message: str) -> None:
    error = served.get(path).json()["error"]
    assert error["param"] == param
    assert error["message"].startswith(message)


def test_bad_field_of_a_body_is_named(served: TestClient) -> None:
    asked = {"expires_after": {"anchor": "created_at", "seconds": 5}}
    error = served.post("/v1/realtime/client_secrets", json=asked).json()["error"]
    assert error["param"] == "expires_after.seconds"
    assert error["message"] == "Invalid 'expires_after.seconds': it must be at least 10."
    answer = served.post(
        "/v1/realtime/client_secrets", content="{", headers={"content-type": "application/json"}
    )
    assert answer.json()["error"]["message"].startswith("Invalid body: it is not valid JSON: ")


def test_server_uses_the_handlers() -> None:
    answer = TestClient(create_app(free_settings()), base_url="http://localhost").get("/v1/nothing")
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_errors_below_a_path_have_its_format() -> None:
    app = FastAPI()

    def brief(error: ApiError, scope: Mapping[str, Any]) -> Response:
        return Response(f"{scope['path']}: {error.code}", error.status)

    add_exception_handlers(app, ErrorFormats({"/brief/": brief}))

    @app.get("/brief/{number}")
    def thing(number: int) -> None:
        raise invalid("no") if number else ZeroDivisionError

    client = TestClient(app, raise_server_exceptions=False)
    told = {path: client.get(path) for path in ("/brief/1", "/brief/0", "/brief/x", "/other")}
    assert [answer.status_code for answer in told.values()] == [400, 500, 400, 404]
    assert told["/brief/1"].text == "/brief/1: invalid_value"
    assert told["/brief/0"].text == "/brief/0: internal_error"
    assert told["/brief/x"].text == "/brief/x: invalid_value"
    assert told["/other"].json()["error"]["type"] == "invalid_request_error"
