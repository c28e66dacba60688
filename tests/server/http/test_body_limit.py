"""Test that bodies without files are limited in size and time."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from server.http.body_limit import MAX_BYTES, BodyLimit
from server.http.error_formats import ErrorFormats
from server.http.exception_handlers import add_exception_handlers
from server.http.request_id import RequestMiddleware
from server.observability.metrics import Metrics
from tests.server.asgi_calls import Call


@pytest.fixture
def app() -> FastAPI:
    """Return an app that answers with the number of bytes it received."""
    built = FastAPI()

    @built.post("/{path}")
    async def count(request: Request) -> int:
        return len(await request.body())

    built.add_middleware(BodyLimit, exempt_paths=frozenset({"/large"}), formats=ErrorFormats())
    built.add_middleware(RequestMiddleware, metrics=Metrics())
    add_exception_handlers(built)
    return built


def posting(path: str, **headers: str) -> Any:
    return httpx.Request("POST", f"http://here/{path}", headers=headers)


async def test_body_arrives_complete_however_it_is_chunked(app: FastAPI) -> None:
    call = await Call(app, posting("small"), b"x" * 1_000, b"", b"y" * (MAX_BYTES - 1_000)).run()
    assert (call.status, call.body) == (200, str(MAX_BYTES).encode())


async def test_body_above_the_limit_is_refused(app: FastAPI) -> None:
    call = await Call(app, posting("small"), b"x" * MAX_BYTES, b"y").run()
    assert call.status == 413
    call = await Call(app, posting("small", **{"content-length": str(MAX_BYTES + 1)}), b"").run()
    assert call.status == 413


async def test_exempt_path_limits_its_bodies_itself(app: FastAPI) -> None:
    call = await Call(app, posting("large"), b"x" * (MAX_BYTES + 1)).run()
    assert (call.status, call.body) == (200, str(MAX_BYTES + 1).encode())


async def test_disconnect_is_no_server_error(app: FastAPI) -> None:
    call = Call(app, posting("small"), b"x", more=True)
    call.hangs_up()
    await call.run()
    assert call.status == 499
