"""Jobs for the URL of audio at /api/stt."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests import plain_http
from tests.server.job_requests import ALICE, BOB
from tests.server.live_server import Server, free_settings, serve

URL = "https://example.org/talk.mp3"


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve two keys without a worker, so that nothing is downloaded."""
    folder = tmp_path_factory.mktemp("jobs")
    with serve(
        free_settings(
            data_dir=str(folder), api_keys=f"alice:{ALICE},bob:{BOB}", jobs_at_once=0, fetch_urls=True
        )
    ) as server:
        yield server


def ask(server: Server, method: str, path: str = "", *, key: str = ALICE, **more: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    return plain_http.request(method, f"{server.url}/api/stt/{path}", headers=headers, timeout=60, **more)


def test_submitted_url_is_pending(idle: Server) -> None:
    created = ask(idle, "POST", json={"audio_url": URL})
    result = created.json()
    assert created.status_code == 201
    key = result.pop("stt_result_key")
    assert result == {
        "stt_result_status": "pending",
        "stt_result_script": None,
        "stt_start_time": None,
        "stt_end_time": None,
        "audio_source_url": URL,
    }
    assert ask(idle, "GET", f"{key}/").json() == {"stt_result_key": key, **result}


def test_cancelled_job_has_failed(idle: Server) -> None:
    key = ask(idle, "POST", json={"audio_url": URL}).json()["stt_result_key"]
    headers = {"authorization": f"Bearer {ALICE}"}
    plain_http.request("DELETE", f"{idle.url}/v1/jobs/{key}", headers=headers, timeout=60)
    found = ask(idle, "GET", f"{key}/").json()
    assert (found["stt_result_status"], found["stt_result_script"]) == ("failed", None)
    assert found["stt_end_time"]


@pytest.mark.parametrize("body", [{}, {"audio_url": ""}, {"audio_url": 7}, {"url": URL}])
def test_missing_url_is_refused(idle: Server, body: dict[str, Any]) -> None:
    refused = ask(idle, "POST", json=body)
    assert (refused.status_code, refused.json()) == (400, {"error": "'audio_url' Not Provided"})


def test_address_of_another_kind_is_refused(idle: Server) -> None:
    refused = ask(idle, "POST", json={"audio_url": "file:///etc/passwd"})
    assert (refused.status_code, refused.json().keys()) == (400, {"error"})


@pytest.mark.parametrize("key", ["unknown", "job_" + "0" * 32])
def test_unknown_key_is_not_found(idle: Server, key: str) -> None:
    refused = ask(idle, "GET", f"{key}/")
    assert (refused.status_code, refused.json()) == (404, {"error": "No matching STT task found"})


def test_job_of_another_owner_is_forbidden(idle: Server) -> None:
    key = ask(idle, "POST", json={"audio_url": URL}).json()["stt_result_key"]
    refused = ask(idle, "GET", f"{key}/", key=BOB)
    message = "User is not the right owner of the stt task"
    assert (refused.status_code, refused.json()) == (403, {"error": message})


@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("GET", "job_" + "0" * 32)])
def test_refused_key_has_the_same_format(idle: Server, method: str, path: str) -> None:
    refused = ask(idle, method, path, key="the-key-of-nobody")
    assert (refused.status_code, refused.json().keys()) == (401, {"error"})
