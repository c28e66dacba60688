"""Requests of Deepgram's API whose result is posted to an address."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests import plain_http
from tests.server.job_requests import SPOKEN, ask
from tests.server.live_server import Message, Server, free_settings, serve, spoken

CALLBACK = "https://example.org/done?id=7"


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("jobs")
    with serve(free_settings(data_dir=str(folder), jobs_at_once=0, fetch_urls=True)) as server:
        yield server


def listen(server: Server, body: Any = SPOKEN, kind: str = "audio/wav", **query: str) -> httpx.Response:
    query = {"callback": CALLBACK} | query
    headers = {"content-type": kind}
    return plain_http.post(f"{server.url}/v1/listen", content=body, headers=headers, params=query, timeout=60)


def job_of(server: Server, answer: httpx.Response) -> Message:
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"request_id"}
    assert answer.headers["dg-request-id"] == answer.json()["request_id"]
    job: Message = ask(server, "GET", f"/{answer.json()['request_id']}").json()
    return job


def test_file_is_accepted_and_becomes_a_job(idle: Server) -> None:
    job = job_of(idle, listen(idle, model="nova-3", punctuate="true", tag="a", multichannel="true"))
    assert (job["status"], job["source"]["bytes"]) == ("queued", len(SPOKEN))


def test_raw_samples_become_a_file(idle: Server) -> None:
    raw = listen(idle, spoken(), "application/octet-stream", encoding="linear16", sample_rate="16000")
    assert job_of(idle, raw)["source"]["bytes"] > len(spoken())


def test_address_of_a_file_is_accepted(idle: Server) -> None:
    answer = listen(idle, b'{"url": "https://example.org/talk.mp3"}', "application/json")
    assert job_of(idle, answer)["source"]["url"] == "https://example.org/talk.mp3"


@pytest.mark.parametrize(
    ("body", "kind", "query", "code"),
    [
        (SPOKEN, "audio/wav", {"callback": "file:///etc/passwd"}, "INVALID_URL"),
        (SPOKEN, "audio/wav", {"callback": ""}, "INVALID_URL"),
        (SPOKEN, "audio/wav", {"callback_method": "put"}, "INVALID_VALUE"),
        (SPOKEN, "audio/wav", {"language": "klingonese"}, "INVALID_VALUE"),
        (b'{"url": "ftp://here/a"}', "application/json", {}, "INVALID_URL"),
        (b'{"url": 7}', "application/json", {}, "INVALID_URL"),
        (
            b'{"url": "https://example.org/a"}',
            "application/json",
            {"encoding": "mulaw", "sample_rate": "8000"},
            "INVALID_VALUE",
        ),
    ],
)
def test_errors_have_the_format_of_deepgram(
    idle: Server, body: bytes, kind: str, query: dict[str, str], code: str
) -> None:
    refused = listen(idle, body, kind, **query)
    assert (refused.status_code, refused.json()["err_code"]) == (400, code)


def test_server_without_jobs_refuses_a_callback(server: Server) -> None:
    refused = listen(server)
    assert (refused.status_code, refused.json()["err_code"]) == (404, "JOBS_DISABLED")
