"""SmallBody: what holds no file is small, and comes in time."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from server.http.body_limit import MAX_BYTES, BodyLimit
from server.http.exception_handlers import add_exception_handlers
from server.http.request_id import RequestMiddleware
from server.observability.metrics import Metrics
from tests.server.asgi_calls import Call


@pytest.fixture
def app() -> FastAPI:
    """Answers with the number of bytes that came."""
    built = FastAPI()

    @built.post("/{path}")
    async def count(request: Request) -> int:
        return len(await request.body())

    built.add_middleware(BodyLimit, exempt_paths=frozenset({"/large"}))
    built.add_middleware(RequestMiddleware, metrics=Metrics())
    add_exception_handlers(built)
    return built


def posting(path: str, **headers: str) -> Any:
    return httpx.Request("POST", f"http://here/{path}", headers=headers)


async def test_a_body_arrives_whole_however_it_was_cut(app: FastAPI) -> None:
    call = await Call(app, posting("small"), b"x" * 1_000, b"", b"y" * (MAX_BYTES - 1_000)).run()
    assert (call.status, call.body) == (200, str(MAX_BYTES).encode())


async def test_one_byte_more_is_too_much(app: FastAPI) -> None:
    call = await Call(app, posting("small"), b"x" * MAX_BYTES, b"y").run()
    assert call.status == 413
    call = await Call(app, posting("small", **{"content-length": str(MAX_BYTES + 1)}), b"").run()
    assert call.status == 413


async def test_a_door_for_files_bounds_its_bodies_itself(app: FastAPI) -> None:
    call = await Call(app, posting("large"), b"x" * (MAX_BYTES + 1)).run()
    assert (call.status, call.body) == (200, str(MAX_BYTES + 1).encode())


async def test_a_client_that_hangs_up_is_no_fault_of_ours(app: FastAPI) -> None:
    call = Call(app, posting("small"), b"x", more=True)
    call.hangs_up()
    await call.run()
    assert call.status == 499
