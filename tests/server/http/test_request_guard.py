"""Test the checks of head, host and origin."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI, WebSocket

from server.errors import ClientError
from server.http.exception_handlers import add_exception_handlers
from server.http.origin_policy import OriginPolicy
from server.http.request_guard import MAX_HEADER, MAX_HEADERS, MAX_URL, RequestGuard, check_head
from server.http.request_id import RequestMiddleware
from server.observability.metrics import Metrics
from tests import plain_http
from tests.server.live_server import Message, free_settings, serve


def app(*, on_this_machine: bool = False) -> FastAPI:
    """Return an app with one endpoint."""
    built, metrics = FastAPI(), Metrics()

    @built.get("/path")
    async def path() -> str:
        return "path"

    @built.websocket("/path")
    async def listen(websocket: WebSocket) -> None:
        await websocket.accept()

    origins = OriginPolicy(["https://app.example"])
    built.add_middleware(RequestGuard, origins=origins, on_this_machine=on_this_machine, metrics=metrics)
    built.add_middleware(RequestMiddleware, metrics=metrics)
    add_exception_handlers(built)
    return built


def client(built: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(built), base_url="http://127.0.0.1:5001")


async def handshake(built: FastAPI, server: tuple[str, int | None] | None, **headers: str) -> list[Message]:
    """Return the ASGI messages that the app sends."""
    told: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        told.append(message)

    scope: dict[str, Any] = {
        "type": "websocket",
        "path": "/path",
        "raw_path": b"/path",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "server": server,
        "extensions": {"websocket.http.response": {}},
    }
    await built(scope, receive, send)
    return told


async def test_foreign_origin_is_refused_over_http_and_websocket() -> None:
    evil = {"origin": "https://evil.example"}
    answer = await client(app()).get("/path", headers=evil)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin_not_allowed")
    refused, *_ = await handshake(app(), ("127.0.0.1", 5001), host="127.0.0.1:5001", **evil)
    assert (refused["type"], refused["status"]) == ("websocket.http.response.start", 403)


@pytest.mark.parametrize("origin", ["https://app.example", "http://127.0.0.1:5001"])
async def test_own_and_listed_origins_are_served(origin: str) -> None:
    answer = await client(app()).get("/path", headers={"origin": origin})
    assert answer.json() == "path"
    accepted, *_ = await handshake(app(), ("127.0.0.1", 5001), host="127.0.0.1:5001", origin=origin)
    assert accepted["type"] == "websocket.accept"


LOCAL = ("127.0.0.1", 5001)


@pytest.mark.parametrize(
    ("server", "host"),
    [
        (LOCAL, "localhost:5001"),
        (("::1", 5001), "[::1]:5001"),
        (("::ffff:127.0.0.1", 5001), "127.0.0.1:5001"),
        (("/run/stt.sock", None), "localhost"),
    ],
)
async def test_local_server_serves_this_machine(server: tuple[str, int | None], host: str) -> None:
    accepted, *_ = await handshake(app(on_this_machine=True), server, host=host)
    assert accepted["type"] == "websocket.accept"


@pytest.mark.parametrize(
    ("server", "host"),
    [
        (("192.168.1.7", 5001), "192.168.1.7:5001"),
        (("192.168.1.7", 5001), "localhost:5001"),
        (LOCAL, "rebound.evil.example:5001"),
        (LOCAL, "192.168.1.7"),
        (None, "localhost"),
    ],
)
async def test_local_server_refuses_others_and_dns_rebinding(
    server: tuple[str, int | None] | None, host: str
) -> None:
    refused, body = await handshake(app(on_this_machine=True), server, host=host)
    assert refused["status"] == 403
    assert b"keys_needed" in body["body"]


async def test_browser_on_another_machine_is_told_what_to_do() -> None:
    browser = {"host": "192.168.1.7:5001", "accept": "text/html,application/xhtml+xml"}
    answer = await client(app(on_this_machine=True)).get("/", headers=browser)
    assert (answer.status_code, answer.headers["content-type"]) == (403, "text/html; charset=utf-8")
    assert "entrypoint.sh keys new" in answer.text
    assert "http://localhost:5001/" in answer.text
    assert "'unsafe-inline'" not in answer.headers["content-security-policy"]
    program = await client(app(on_this_machine=True)).get("/", headers={"host": "192.168.1.7"})
    assert program.json()["error"]["code"] == "keys_needed"


async def test_handshake_is_closed_without_denial_responses() -> None:
    built = app(on_this_machine=True)
    told: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        told.append(message)

    scope: dict[str, Any] = {
        "type": "websocket",
        "path": "/path",
        "raw_path": None,
        "query_string": b"",
        "headers": [],
    }
    await built(scope, receive, send)
    assert told == [{"type": "websocket.close", "code": 1008, "reason": "keys_needed"}]


@pytest.mark.parametrize("host", ["[::1", "a b", "a/b"])
async def test_invalid_host_header_is_refused(host: str) -> None:
    answer = await client(app()).get("/path", headers={"host": host})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "host")


@pytest.mark.parametrize(
    ("url", "headers", "status"),
    [
        (MAX_URL + 1, [], 414),
        (0, [(b"a", b"")] * (MAX_HEADERS + 1), 431),
        (0, [(b"a", b"b" * MAX_HEADER)], 431),
        (0, [(b"a", b"b" * 7_000)] * 5, 431),
    ],
)
def test_oversized_head_is_refused(url: int, headers: list[tuple[bytes, bytes]], status: int) -> None:
    with pytest.raises(ClientError) as refused:
        check_head(url, headers)
    assert refused.value.status == status


def test_head_within_the_limits_is_accepted() -> None:
    check_head(MAX_URL, [(b"a", b"b")] * MAX_HEADERS)


def test_listed_origin_gets_cors_headers() -> None:
    with serve(free_settings(origins="https://app.example", api_keys="a:0123456789abcdef")) as server:
        page = {"origin": "https://app.example"}
        asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        preflight = plain_http.options(f"{server.url}/v1/audio/transcriptions", headers=page | asked)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == page["origin"]
        assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
        refused = plain_http.get(f"{server.url}/v1/models", headers=page, timeout=60)
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, page["origin"])
        private = {"access-control-request-private-network": "true"}
        preflight = plain_http.options(f"{server.url}/v1/models", headers=page | asked | private)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-private-network"] == "true"
        exposed = refused.headers["access-control-expose-headers"].split(", ")
        assert {"x-request-id", "x-model", "x-filtered", "x-warnings", "retry-after"} <= set(exposed)


def test_a_page_can_read_why_its_origin_is_refused() -> None:
    with serve(free_settings()) as server:
        page = {"origin": "app://obsidian.md"}
        asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        url = f"{server.url}/v1/audio/transcriptions"
        preflight = plain_http.options(url, headers=page | asked)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == page["origin"]
        assert preflight.headers["access-control-allow-headers"] == "authorization"
        refused = plain_http.post(url, headers=page)
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (403, page["origin"])
        assert "ORIGINS=app://obsidian.md" in refused.json()["error"]["message"]
        private = {"access-control-request-private-network": "true"}
        preflight = plain_http.options(url, headers=page | asked | private)
        assert preflight.status_code == 403
        assert "access-control-allow-private-network" not in preflight.headers


def test_a_server_without_keys_allows_pages_of_this_machine() -> None:
    with serve(free_settings()) as server:
        page = {"origin": "http://localhost:3000"}
        answer = plain_http.get(f"{server.url}/v1/models", headers=page)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, page["origin"])
        asked = {"access-control-request-method": "POST"}
        assert plain_http.options(f"{server.url}/v1/models", headers=page | asked).status_code == 200


@pytest.mark.parametrize("settings", [{"api_keys": "a:0123456789abcdef"}, {"auth_without_keys": "everyone"}])
def test_other_servers_refuse_pages_of_this_machine(settings: dict[str, str]) -> None:
    with serve(free_settings(**settings), wait_until_ready=False) as server:
        answer = plain_http.get(f"{server.url}/v1/models", headers={"origin": "http://localhost:3000"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin_not_allowed")
