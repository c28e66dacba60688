"""Test that only open paths answer without a key."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from server.auth.api_keys import ApiKey, ApiKeys, caller_of, digest_of
from server.auth.authenticator import Authenticator
from server.auth.middleware import ApiKeyMiddleware
from server.errors import ApiError
from server.http.error_formats import ErrorFormats
from server.http.exception_handlers import add_exception_handlers
from server.http.request_id import REQUEST_ID, RequestMiddleware
from server.observability.metrics import Metrics
from tests.server.asgi_calls import Call


def other_error(error: ApiError, scope: Mapping[str, Any]) -> JSONResponse:
    return JSONResponse({"in other words": error.code, "id": scope[REQUEST_ID]}, error.status)


@pytest.fixture
def app() -> FastAPI:
    """Return an app that answers every path with the name of the caller."""
    built, metrics = FastAPI(openapi_url=None), Metrics()

    @built.api_route("/{path:path}", methods=["GET", "POST"])
    async def answer(request: Request) -> str | None:
        return caller_of(request.scope).name

    built.add_middleware(
        ApiKeyMiddleware,
        auth=Authenticator(ApiKeys([ApiKey("alice", digest_of("the-key-of-alice"))])),
        open_paths=frozenset({"/", "/open", "/below/"}),
        formats=ErrorFormats({"/other": other_error, "/others/": other_error}),
        metrics=metrics,
    )
    built.add_middleware(RequestMiddleware, metrics=metrics)
    add_exception_handlers(built)
    return built


@pytest.fixture
def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here")


@pytest.mark.parametrize("path", ["/", "/open", "/below/", "/below/this.js"])
async def test_open_path_needs_no_key(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/closed", "/open/", "/opening", "/below", "/Open"])
async def test_every_other_path_needs_a_key(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "invalid_api_key"


async def test_endpoint_gets_the_caller(client: httpx.AsyncClient) -> None:
    answer = await client.get("/closed", headers={"x-api-key": "the-key-of-alice"})
    assert answer.json() == "alice"


@pytest.mark.parametrize("path", ["/other", "/others/one"])
async def test_endpoint_may_have_its_own_error_format(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path)
    assert answer.status_code == 401
    told = answer.json()
    assert (told["in other words"], told["id"]) == ("invalid_api_key", answer.headers["x-request-id"])


async def test_refused_body_is_read_so_that_the_response_arrives(app: FastAPI) -> None:
    request: Any = httpx.Request("POST", "http://here/closed")
    call = await Call(app, request, b"x" * 100, b"y" * 100).run()
    assert (call.status, call.headers.get("connection")) == (401, None)


async def test_endless_refused_body_closes_the_connection(app: FastAPI) -> None:
    request: Any = httpx.Request("POST", "http://here/closed", headers={"expect": "100-continue"})
    call = await asyncio.wait_for(Call(app, request, b"x", more=True).run(), 20)
    assert (call.status, call.headers["connection"]) == (401, "close")
