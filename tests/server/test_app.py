"""Test the assembled application."""

import httpx
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from server.app import create_app
from tests import plain_http
from tests.server.live_server import ROOT, Client, Server, errors, first_sentence, free_settings, serve
from tests.waiting import wait_until


@pytest.fixture
def unloaded() -> TestClient:
    """Return a client of an application that has not started, so no models are loaded."""
    return TestClient(create_app(free_settings()), base_url="http://localhost")


def test_without_models_the_server_is_alive_and_not_ready(unloaded: TestClient) -> None:
    assert unloaded.get("/health").json() == {"status": "ok"}
    answer = unloaded.get("/ready")
    assert answer.status_code == 503
    assert answer.json() == {
        "ready": False,
        "state": "loading",
        "error": None,
        "troubles": [],
        "recognizer": None,
        "models": [
            {
                "name": "free",
                "state": "absent",
                "memory_mb": 0,
                "sessions": 0,
                "error": None,
                "languages": None,
                "download": None,
                "conversion_seconds": None,
            }
        ],
    }


def test_without_models_requests_are_refused(unloaded: TestClient) -> None:
    with unloaded.websocket_connect("ws://localhost/ws/stt") as socket:
        error = socket.receive_json()
        assert error["message"] == "Server models not initialized."
        assert error["error"]["code"] == "models_not_ready"
        assert error["error"]["retryable"] is True
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert (closed.value.code, closed.value.reason) == (1013, "models_not_ready")


def test_with_models_the_server_is_ready(server: Server) -> None:
    answer = server.get("/ready")
    assert answer.status_code == 200
    assert answer.json()["state"] == "ready"
    assert answer.json()["recognizer"]["model"] == "free"


def test_who_connects_while_the_models_load_is_transcribed() -> None:
    """The client and the file come before the detector is loaded."""
    with serve(free_settings(), wait_until_ready=False) as server:
        with Client(server.ws) as client:
            client.talk(first_sentence())
            texts = [message["transcript"] for message in client.end() if "transcript" in message]
        assert [text.split()[0] for text in texts] == ["w1"]


def test_a_file_that_comes_while_the_models_load_is_transcribed() -> None:
    with serve(free_settings(), wait_until_ready=False) as server:
        with (ROOT / "test.wav").open("rb") as file:
            url, model = f"{server.url}/v1/audio/transcriptions", {"model": "free"}
            answer = httpx.post(url, data=model, files={"file": file}, timeout=30)
        assert (answer.status_code, answer.json()["text"][:2]) == (200, "w1")


def test_a_model_that_cannot_be_loaded_is_reported() -> None:
    with serve(free_settings(asr_model="no/such/model"), wait_until_ready=False) as server:
        wait_until(lambda: server.get("/ready").json()["state"] != "loading")
        answer = server.get("/ready")
        assert answer.status_code == 503
        assert answer.json()["state"] == "failed"
        assert "no/such/model" in answer.json()["error"]
        with Client(server.ws) as client:
            (error,) = errors(client.hear_until_closed())
            assert error["error"]["code"] == "models_not_ready"


@pytest.mark.parametrize("path", ["/ws", "/nothing"])
def test_other_paths_are_not_found(server: Server, path: str) -> None:
    assert server.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/ws/nope", "/ws", "/v1/models", "/"])
def test_an_unknown_websocket_is_not_found(server: Server, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(server.url.replace("http", "ws") + path):
        pass
    assert refused.value.response.status_code == 404
    assert b"/ws/stt" in refused.value.response.body


def test_an_unknown_websocket_needs_a_key() -> None:
    with serve(free_settings(api_keys="a:0123456789abcdef"), wait_until_ready=False) as server:
        url = server.url.replace("http", "ws") + "/ws/nope"
        with pytest.raises(InvalidStatus) as refused, connect(url):
            pass
        assert refused.value.response.status_code == 401
        with (
            pytest.raises(InvalidStatus) as refused,
            connect(url, additional_headers={"api-key": "0123456789abcdef"}),
        ):
            pass
        assert refused.value.response.status_code == 404


@pytest.mark.parametrize("path", ["/ws/stt/", "/v1/listen/", "/v1/realtime/?intent=transcription"])
def test_a_websocket_may_have_a_trailing_slash(server: Server, path: str) -> None:
    with connect(server.url.replace("http", "ws") + path) as socket:
        assert socket.ping().wait(20)


@pytest.mark.parametrize("path", ["/health/", "/v1/models/", "/v1/models/whisper-1/"])
def test_a_path_may_have_a_trailing_slash(server: Server, path: str) -> None:
    assert server.get(path).status_code == 200


def test_a_file_may_be_posted_with_a_trailing_slash(server: Server) -> None:
    answer = httpx.post(f"{server.url}/v1/audio/transcriptions/", data={"model": "x"}, files={"a": b""})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/metrics", "/openapi.json", "/v1/models"])
def test_head_is_answered_as_get_without_a_body(server: Server, path: str) -> None:
    head, get = plain_http.request("HEAD", server.url + path), server.get(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    assert int(head.headers["content-length"]) > 0


def test_head_of_a_path_that_only_takes_post_is_refused(server: Server) -> None:
    answer = plain_http.request("HEAD", f"{server.url}/v1/audio/transcriptions")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/openai/v1/models", "/openai/models?api-version=2024-10-21"])
def test_the_models_are_listed_at_the_paths_of_azure(server: Server, path: str) -> None:
    assert server.get(path).json()["data"][0]["id"] == "free"


@pytest.mark.parametrize(
    "path",
    [
        "/openai/v1/audio/transcriptions",
        "/openai/deployments/whisper-1/audio/transcriptions?api-version=2024-10-21",
    ],
)
def test_a_file_is_transcribed_at_the_paths_of_azure(server: Server, path: str) -> None:
    data = {} if "deployments" in path else {"model": "whisper-1"}
    with (ROOT / "test.wav").open("rb") as file:
        answer = httpx.post(server.url + path, data=data, files={"file": file}, timeout=30)
    assert (answer.status_code, answer.json()["text"][:2]) == (200, "w1")


def test_two_applications_in_one_process_are_independent(server: Server, unloaded: TestClient) -> None:
    assert server.get("/ready").status_code == 200
    assert unloaded.get("/ready").status_code == 503
