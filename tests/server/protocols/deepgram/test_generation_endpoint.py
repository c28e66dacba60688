"""Jobs with results in the shape of Deepgram, over HTTP."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import httpx
import pytest

from server.http.body_limit import MAX_BYTES
from tests import plain_http
from tests.server.asgi_calls import wav
from tests.server.job_requests import ALICE, BOB, CALL, SPOKEN
from tests.server.live_server import Message, Server, free_settings, serve
from tests.streaming.fakes import sound
from tests.waiting import wait_until

ERROR = {"message", "path", "requestId", "statusCode", "timestamp", "code"}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("jobs")
    with serve(free_settings(data_dir=str(folder), api_keys=f"alice:{ALICE},bob:{BOB}")) as server:
        yield server


def ask(server: Server, method: str, path: str, *, key: str = ALICE, **more: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    return plain_http.request(method, f"{server.url}/v1/stt/{path}", headers=headers, timeout=60, **more)


def create(server: Server, data: bytes = SPOKEN, **fields: Any) -> str:
    form = {"model": "#g1_nova-2-general"} | fields
    created = ask(server, "POST", "create", data=form, files={"audio": ("talk.mp3", data, "audio/mpeg")})
    assert created.status_code == 201, created.text
    generation: str = created.json()["generation_id"]
    return generation


def finished(server: Server, generation: str) -> Message:
    """Poll until the status is final."""
    found: Message = {}

    def is_final() -> bool:
        nonlocal found
        found = ask(server, "GET", generation).json()
        assert found["generation_id"] == generation
        return found["status"] not in ("waiting", "active")

    wait_until(is_final)
    return found


def test_file_becomes_a_result_in_the_shape_of_deepgram(jobs: Server) -> None:
    done = finished(jobs, create(jobs, utterances="true", diarize="true"))
    assert done["status"] == "completed"
    metadata, results = done["result"]["metadata"], done["result"]["results"]
    assert metadata["sha256"] == sha256(SPOKEN).hexdigest()
    assert (metadata["duration"], metadata["channels"]) == (12.03, 1)
    assert metadata["model_info"][metadata["models"][0]]["name"] == "free"
    (channel,) = results["channels"]
    best = channel["alternatives"][0]
    assert best["transcript"].startswith("w1 w2")
    assert best["words"][0].keys() >= {"word", "start", "end", "confidence", "punctuated_word", "speaker"}
    assert results["utterances"]


def test_channels_apart_are_those_of_the_result(jobs: Server) -> None:
    done = finished(jobs, create(jobs, CALL, multichannel="true"))
    channels = [each["alternatives"][0] for each in done["result"]["results"]["channels"]]
    first, second = (channel["words"][0]["start"] for channel in channels)
    assert first > second
    assert done["result"]["metadata"]["channels"] == 2


def test_options_of_json_and_of_forms_are_the_same(jobs: Server) -> None:
    plain = finished(jobs, create(jobs, punctuate="false"))["result"]["results"]
    assert "punctuated_word" not in plain["channels"][0]["alternatives"][0]["words"][0]
    assert "utterances" not in plain


def test_text_is_changed_before_it_is_stored(jobs: Server) -> None:
    generation = create(jobs, replace="w1:Good", start="0.1", end="3.5")
    best = finished(jobs, generation)["result"]["results"]["channels"][0]["alternatives"][0]
    assert best["transcript"].startswith("Good w2")
    assert all(0.1 <= word["start"] < word["end"] <= 3.5 for word in best["words"])
    text = plain_http.get(
        f"{jobs.url}/v1/jobs/{generation}/transcript", headers={"authorization": f"Bearer {ALICE}"}
    )
    assert "w1" not in text.json()["text"]
    refused = ask(jobs, "POST", "create", data={"redact": "secrets"}, files={"audio": SPOKEN})
    assert refused.status_code == 400


@pytest.mark.slow
def test_large_file_is_accepted(jobs: Server) -> None:
    data = wav(sound((True, 16_000), (False, 800_000)))
    assert len(data) > MAX_BYTES
    assert finished(jobs, create(jobs, data))["status"] == "completed"


def test_model_of_a_group_may_be_one_of_ours(jobs: Server) -> None:
    done = finished(jobs, create(jobs, model="#g1_free"))
    (model,) = done["result"]["metadata"]["model_info"].values()
    assert model["name"] == "free"


def test_file_without_audio_ends_with_an_error(jobs: Server) -> None:
    done = finished(jobs, create(jobs, b"no sound at all"))
    assert done["status"] == "error"
    assert done["error"]["name"] == "invalid_audio"
    assert done["error"]["message"]


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"json": {"model": "x"}}, 400),
        ({"json": {"url": 7}}, 400),
        ({"json": {"url": "https://example.org/a.mp3"}}, 400),  # it downloads nothing
        ({"data": {"url": "https://example.org/a.mp3"}, "files": {"audio": b"sound"}}, 400),
        ({"data": {"language": "klingonese"}, "files": {"audio": b"sound"}}, 400),
        ({"json": {"url": "https://example.org/a", "tag": ["x" * 9_000]}}, 400),
        ({"content": b"{"}, 415),
    ],
)
def test_errors_have_their_own_format(jobs: Server, more: dict[str, Any], status: int) -> None:
    answer = ask(jobs, "POST", "create", **more)
    error = answer.json()
    assert (answer.status_code, error["statusCode"], error.keys()) == (status, status, ERROR)
    assert error["path"] == "/v1/stt/create"
    assert error["requestId"] == answer.headers["x-request-id"]


def test_generation_of_another_key_is_not_found(jobs: Server) -> None:
    generation = create(jobs)
    for name, key in ((generation, BOB), ("unknown", ALICE), ("job_" + "0" * 32, ALICE)):
        answer = ask(jobs, "GET", name, key=key)
        assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")
        assert answer.json().keys() == ERROR


@pytest.mark.parametrize("path", ["create", "some-id"])
def test_refused_key_has_the_same_format(jobs: Server, path: str) -> None:
    answer = ask(jobs, "POST" if path == "create" else "GET", path, key="the-key-of-nobody")
    assert (answer.status_code, answer.json().keys()) == (401, ERROR)
    assert answer.json()["path"] == f"/v1/stt/{path}"
