"""Test that every route of the application requires a key or is open on purpose."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from server.app import create_app
from server.auth.api_keys import digest_of
from server.web.router import PAGE_PATHS
from tests import plain_http
from tests.server.live_server import Client, Message, Server, first_sentence, free_settings, serve
from tests.server.server_process import MAIN, Program, program
from tests.waiting import wait_until

ALICE, BOB, LATE = "the-key-of-alice-0", "the-key-of-bob-0", "the-key-of-late-0"
OPEN = {"/health", "/ready", "/openapi.json"} | PAGE_PATHS  # a route that joins them needs a reason
LIVE = ["/ws/stt", "/v1/listen", "/v1/realtime?intent=transcription"]
REST = [
    ("GET", "/v1/models"),
    ("GET", "/ws/stt"),
    ("GET", "/metrics"),
    ("POST", "/v1/audio/transcriptions"),
    ("POST", "/v1/audio/translations"),
    ("POST", "/v1/listen"),
    ("GET", "/v1/projects"),
    ("GET", "/openai/v1/models"),
    ("POST", "/v1/jobs"),
    ("GET", "/v1/jobs"),
    ("GET", "/v1/jobs/x"),
    ("DELETE", "/v1/jobs/x"),
    ("GET", "/v1/jobs/x/transcript"),
    ("GET", "/v1/jobs/x/events"),
    ("POST", "/v1/documents"),
    ("POST", "/v1/summaries"),
    ("POST", "/v1/subtitles"),
    ("POST", "/v1/stt/create"),
    ("GET", "/v1/stt/x"),
    ("GET", "/wav2vec2"),
    ("POST", "/wav2vec2"),
    ("POST", "/api/stt"),
    ("GET", "/api/stt/x"),
    ("POST", "/v1/tokens"),
    ("POST", "/v1/realtime/client_secrets"),
]


def entry(name: str, secret: str, **more: object) -> dict[str, object]:
    return {"name": name, "sha256": digest_of(secret).hex(), **more}


def write(path: Path, *entries: object) -> None:
    path.write_text(json.dumps({"keys": entries}))


EVERYBODY = [
    entry("alice", ALICE),
    entry("bob", BOB),
    entry("late", LATE, expires_at="2020-01-01T00:00:00Z"),
]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    write(path, *EVERYBODY)
    return path


@pytest.fixture(scope="module")
def keyed(file: Path) -> Iterator[Server]:
    with serve(free_settings(api_keys_file=str(file), resume_seconds=60)) as running:
        yield running


# All routes


def routes_of(routes: list[BaseRoute], above: str = "") -> Iterator[tuple[str, str]]:
    """Return method and path of each route, with parameters replaced; WS for a WebSocket."""
    for route in routes:
        path = above + re.sub("{.+?}", "x", getattr(route, "path", ""))
        if isinstance(route, Route):
            yield from ((method, path) for method in (route.methods or {"GET"}))
        elif isinstance(route, WebSocketRoute):
            yield "WS", path
        elif isinstance(route, Mount):
            yield from routes_of(route.routes, path)
            yield "GET", f"{path}/x"
        else:
            inner = getattr(route, "original_router", None) or getattr(route, "router", None)
            assert inner is not None, f"nobody knows what {route!r} lets in"
            yield from routes_of(inner.routes, path)


def lets_in(client: TestClient, method: str, path: str) -> bool:
    """Return whether a client without a key receives anything but a refusal."""
    if method != "WS":
        return client.request(method, path).status_code != 401
    try:
        with client.websocket_connect(f"ws://localhost{path}") as socket:
            socket.receive_json()  # as OpenAI tells of it
            socket.receive_json()
    except WebSocketDenialResponse as denied:
        return denied.status_code != 401
    except WebSocketDisconnect as closed:
        return closed.code != 3000
    return True


def doors_without_a_decision(app: FastAPI) -> set[str]:
    client = TestClient(app, base_url="http://localhost")
    routes = set(routes_of(app.routes))
    assert len(routes) > 15, "the routes were not found"
    asked = {(method, path) for method, path in routes if not is_open(path)}
    return {f"{method} {path}" for method, path in asked if lets_in(client, method, path)}


def is_open(path: str) -> bool:
    """Return whether a path is in OPEN, or below one that ends with a slash."""
    return path in OPEN or any(path.startswith(above) for above in OPEN - {"/"} if above.endswith("/"))


@pytest.fixture
def app(file: Path) -> FastAPI:
    return create_app(free_settings(api_keys_file=str(file)))


def test_every_route_requires_a_key_or_is_named_open(app: FastAPI) -> None:
    assert doors_without_a_decision(app) == set()


def test_an_undecided_websocket_is_detected(app: FastAPI) -> None:
    @app.websocket("/new")
    async def new(websocket: Any) -> None:
        await websocket.accept()
        await websocket.close()

    assert doors_without_a_decision(app) == {"WS /new"}


def test_a_new_route_requires_a_key(app: FastAPI) -> None:
    @app.get("/new")
    async def new() -> str:
        return "let in"

    assert doors_without_a_decision(app) == set()


@pytest.mark.parametrize("path", sorted(OPEN))
def test_open_routes_need_no_key(keyed: Server, path: str) -> None:
    if not path.endswith("/") or path == "/":
        assert keyed.get(path).status_code in (200, 503)


# Keys in all places


def positions(secret: str) -> list[dict[str, Any]]:
    """Return arguments of `connect` with the key in this place."""
    return [
        {"additional_headers": {"authorization": f"Bearer {secret}"}},
        {"additional_headers": {"authorization": f"Token {secret}"}},
        {"additional_headers": {"api-key": secret}},
        {"subprotocols": ["stt", f"stt-key.{secret}"]},
        {"subprotocols": ["token", secret]},
        {"subprotocols": ["realtime", f"openai-insecure-api-key.{secret}"]},
    ]


def answer(server: Server | Program, path: str, **shown: Any) -> str:
    """Return the result of a handshake: "open", a status, or a close code."""
    url = server.url.replace("http", "ws") + path
    try:
        with connect(url, open_timeout=20, **shown) as socket:
            if "realtime" in path and json.loads(socket.recv(timeout=20))["type"] == "error":
                socket.recv(timeout=20)
            return "open"
    except InvalidStatus as refused:
        return str(refused.response.status_code)
    except ConnectionClosed as closed:
        return str(closed.rcvd and closed.rcvd.code)


def refused_at(path: str) -> str:
    return "3000" if "realtime" in path else "401"


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("path", LIVE)
def test_every_live_endpoint_accepts_a_key_in_every_place(keyed: Server, path: str, place: int) -> None:
    assert answer(keyed, path, **positions(ALICE)[place]) == "open"


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("path", LIVE)
def test_wrong_and_expired_keys_are_refused(keyed: Server, path: str, place: int) -> None:
    for secret in ("the-key-of-nobody", LATE, "alice", digest_of(ALICE).hex()):
        assert answer(keyed, path, **positions(secret)[place]) == refused_at(path)


@pytest.mark.parametrize("path", LIVE)
def test_a_missing_key_is_refused(keyed: Server, path: str) -> None:
    assert answer(keyed, path) == refused_at(path)
    assert answer(keyed, path, subprotocols=["stt"]) == refused_at(path)


@pytest.mark.parametrize("path", LIVE)
def test_a_url_may_contain_a_token_but_no_key(keyed: Server, path: str) -> None:
    token = mint(keyed, ALICE)
    sign = "&" if "?" in path else "?"
    assert answer(keyed, f"{path}{sign}token={token}") == "open"
    for secret in (ALICE, f"{token}x", "tk_", "ek_unknown", LATE):
        assert answer(keyed, f"{path}{sign}token={secret}") == refused_at(path)


def mint(server: Server | Program, key: str) -> str:
    made = plain_http.post(f"{server.url}/v1/tokens", headers={"authorization": f"Bearer {key}"}, timeout=60)
    token: str = made.json()["token"]
    return token


@pytest.mark.parametrize(("method", "path"), REST)
def test_http_endpoints_require_a_key(keyed: Server, method: str, path: str) -> None:
    def status(query: str = "", **headers: str) -> int:
        return plain_http.request(method, f"{keyed.url}{path}{query}", headers=headers).status_code

    token = mint(keyed, ALICE)
    for good in ({"authorization": f"Bearer {ALICE}"}, {"authorization": f"Token {BOB}"}, {"x-api-key": BOB}):
        assert status(**good) not in (401, 403)
    for secret in ("the-key-of-nobody", LATE):
        for name in ("api-key", "x-api-key"):
            assert status(**{name: secret}) == 401
        assert status(authorization=f"Bearer {secret}") == 401
    assert status() == status(f"?token={ALICE}") == status(f"?token={token}x") == 401
    makes_secrets = path in ("/v1/tokens", "/v1/realtime/client_secrets")
    assert (status(f"?token={token}") == 403) == makes_secrets


def test_a_refusal_has_the_format_of_its_protocol(keyed: Server) -> None:
    openai = plain_http.post(
        f"{keyed.url}/v1/audio/transcriptions", files={"file": bytes(3 << 20)}, timeout=60
    )
    assert (openai.status_code, openai.json()["error"]["code"]) == (401, "invalid_api_key")
    assert openai.headers["www-authenticate"] == "Bearer"
    deepgram = plain_http.post(f"{keyed.url}/v1/listen", content=bytes(3 << 20), timeout=60)
    assert deepgram.json().keys() == {"err_code", "err_msg", "request_id"}
    assert deepgram.json()["request_id"] == deepgram.headers["dg-request-id"]
    with connect(f"{keyed.url.replace('http', 'ws')}/v1/realtime?intent=transcription") as socket:
        assert json.loads(socket.recv(timeout=20))["error"]["code"] == "invalid_api_key"
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=20)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.reason == "invalid_request_error.invalid_api_key"


def test_a_client_secret_is_accepted(keyed: Server) -> None:
    headers = {"authorization": f"Bearer {ALICE}"}
    made = plain_http.post(f"{keyed.url}/v1/realtime/client_secrets", headers=headers, timeout=60).json()[
        "value"
    ]
    for path in ("/v1/realtime", "/ws/stt", "/v1/listen"):
        assert answer(keyed, path, subprotocols=["realtime", f"openai-insecure-api-key.{made}"]) == "open"
    assert answer(keyed, f"/v1/realtime?token={made}") == "open"
    again = plain_http.post(f"{keyed.url}/v1/tokens", headers={"authorization": f"Bearer {made}"}, timeout=60)
    assert again.status_code == 403


# What belongs to a key


def open_session(server: Server | Program, key: str) -> str:
    """Return the resume token of a session whose connection was aborted."""
    with connect(f"{server.ws}?events=all", additional_headers={"x-api-key": key}) as socket:
        token: str = json.loads(socket.recv(timeout=20))["resume_token"]
        socket.socket.close()
    return token


def come_back(server: Server | Program, token: str, key: str) -> Message:
    with connect(f"{server.ws}?resume={token}&ack=1", additional_headers={"x-api-key": key}) as socket:
        told: Message = json.loads(socket.recv(timeout=20))
    return told


def test_a_session_belongs_to_its_key(keyed: Server) -> None:
    token = open_session(keyed, ALICE)
    assert come_back(keyed, token, BOB) == come_back(keyed, "unknown", BOB)
    assert come_back(keyed, token, BOB)["error"]["code"] == "resume_unknown"
    assert come_back(keyed, token, mint(keyed, ALICE))["type"] == "session.resumed"


# Revoking


def test_a_revoked_key_ends_its_sessions_within_seconds(keyed: Server, file: Path) -> None:
    token = mint(keyed, ALICE)
    with ExitStack() as stack:

        def dial(path: str, secret: str) -> ClientConnection:
            url, headers = keyed.url.replace("http", "ws") + path, {"x-api-key": secret}
            return stack.enter_context(connect(url, additional_headers=headers))

        alices = [dial(path, secret) for path in LIVE for secret in (ALICE, token)]
        bobs = dial("/ws/stt", BOB)
        write(file, *EVERYBODY[1:])
        try:
            for session in alices:
                with suppress(ConnectionClosed):
                    while True:
                        session.recv(timeout=20)
                assert session.close_code == 3000
            for path in LIVE:
                assert answer(keyed, path, **positions(ALICE)[0]) == refused_at(path)
                assert answer(keyed, path, **positions(token)[0]) == refused_at(path)
            assert bobs.ping().wait(20)
        finally:
            write(file, *EVERYBODY)
            wait_until(lambda: answer(keyed, "/ws/stt", **positions(ALICE)[0]) == "open")


# What is not written down


@pytest.mark.slow
def test_no_secret_is_logged(file: Path) -> None:
    """Check level debug, including what uvicorn logs of URLs and websockets of frames."""
    keys = {"API_KEYS_FILE": str(file), "API_KEYS": "carol:the-key-of-carol-0"}
    with program(MAIN, **keys, LOG_LEVEL="debug", ASR_WORKER="thread") as server:
        assert server.ready()["ready"]
        token, resume = mint(server, ALICE), open_session(server, ALICE)
        secrets = (ALICE, LATE, "the-key-of-nobody", "the-key-of-carol-0", token)
        for secret in secrets:
            for path in LIVE:
                for place in positions(secret):
                    answer(server, path, **place)
                answer(server, f"{path}{'&' if '?' in path else '?'}token={secret}")
            plain_http.get(f"{server.url}/v1/models?token={secret}", headers={"api-key": secret}, timeout=60)
        come_back(server, resume, ALICE)
        with Client(f"{server.ws}?token={token}&prompt=whispered") as client:
            client.append(first_sentence()[:3_200])
            client.say("session.update", session={"prompt": "whispered"})
            client.end()
        assert server.stop() == 0
        log = server.log
    assert '"WebSocket /ws/stt" [accepted]' in log
    assert "[- alice]" in log
    private = (*secrets, token.rpartition(".")[2], resume, "whispered")
    assert [secret for secret in private if secret in log] == []
    assert "Traceback" not in log
