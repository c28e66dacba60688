"""Test the assembled application."""

import httpx
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from server.app import create_app
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


@pytest.mark.parametrize("path", ["/ws", "/ws/stt", "/nothing"])
def test_other_paths_are_not_found(server: Server, path: str) -> None:
    assert server.get(path).status_code == 404


def test_two_applications_in_one_process_are_independent(server: Server, unloaded: TestClient) -> None:
    assert server.get("/ready").status_code == 200
    assert unloaded.get("/ready").status_code == 503
