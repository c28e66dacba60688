"""Test ids of requests, and the count of responses."""

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from server.http.request_id import RequestMiddleware
from server.observability.metrics import Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def client(metrics: Metrics) -> TestClient:
    app = FastAPI()
    app.add_middleware(RequestMiddleware, metrics=metrics)

    @app.get("/v1/things/{number}")
    def thing(number: int) -> int:
        if number == 13:
            raise ZeroDivisionError
        return number

    return TestClient(app, raise_server_exceptions=False)


def test_each_request_has_an_id_of_its_own(client: TestClient) -> None:
    ids = {client.get("/v1/things/1").headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


def test_answers_are_counted_by_route_and_status(client: TestClient, metrics: Metrics) -> None:
    for path in ("/v1/things/1", "/v1/things/2", "/v1/things/13", "/v1/nothing", "/elsewhere"):
        client.get(path)
    told = metrics.text().decode()
    assert 'stt_http_requests_total{path="/v1/things/{number}",status="200"} 2.0' in told
    assert 'stt_http_requests_total{path="/v1/things/{number}",status="500"} 1.0' in told
    assert 'stt_http_requests_total{path="other",status="404"} 1.0' in told
    assert "elsewhere" not in told
