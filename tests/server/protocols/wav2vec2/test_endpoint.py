"""Test /wav2vec2 with a real server."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest

from server.http.body_limit import MAX_BYTES
from server.protocols.wav2vec2.endpoint import MODEL, vietnamese_model
from tests import plain_http
from tests.server.asgi_calls import wav
from tests.server.job_requests import SPOKEN, ended
from tests.server.live_server import ROOT, Server, first_sentence, free_settings, serve
from tests.streaming.fakes import sound

KEYS = {"status", "transcript", "path", "model", "language"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    files = tmp_path_factory.mktemp("files")
    shutil.copy(ROOT / "test.wav", files / "talk.wav")
    (files / "passwords").symlink_to("/etc/passwd")
    folders = {"files_dir": str(files), "data_dir": str(tmp_path_factory.mktemp("jobs"))}
    with serve(free_settings(**folders)) as running:
        yield running


def ask(server: Server, method: str = "GET", **request: Any) -> httpx.Response:
    return plain_http.request(method, f"{server.url}/wav2vec2", timeout=60, **request)


def encoded(container: str, codec: str) -> bytes:
    """Encode the first sentence of test.wav."""
    samples = np.frombuffer(first_sentence(), np.int16)[None]
    stream = io.BytesIO()
    with av.open(stream, "w", format=container) as output:
        track: Any = output.add_stream(codec, rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
        frame.rate = 16_000
        for part in (frame, None):
            output.mux(track.encode(part))
    return stream.getvalue()


def test_file_of_the_server_is_transcribed(server: Server) -> None:
    answers = [
        ask(server, params={"path": "talk.wav"}),
        ask(server, "POST", params={"path": "talk.wav"}),
        ask(server, "POST", data={"path": "talk.wav"}),
        ask(server, "POST", files={"path": (None, "talk.wav")}),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert answer.json().keys() == KEYS
        assert (answer.json()["status"], answer.json()["path"]) == ("success", "talk.wav")
        assert (answer.json()["model"], answer.json()["language"]) == ("free", "vi")
        assert answer.json()["transcript"].startswith("w1 w2")


@pytest.mark.parametrize(
    ("name", "container", "codec"),
    [
        ("a.mp3", "mp3", "libmp3lame"),
        ("a.wav", "wav", "pcm_s16le"),
        ("a.m4a", "ipod", "aac"),
        ("a.ogg", "ogg", "libopus"),
    ],
)
def test_upload_of_each_format_is_transcribed(server: Server, name: str, container: str, codec: str) -> None:
    answer = ask(server, "POST", files={"file": (name, encoded(container, codec))})
    assert (answer.status_code, answer.json()["path"]) == (200, name)
    assert answer.json()["transcript"]


def test_large_upload_is_transcribed(server: Server) -> None:
    data = wav(sound((True, 16_000), (False, 800_000)))
    assert len(data) > MAX_BYTES
    assert ask(server, "POST", files={"file": data}).status_code == 200


def test_model_is_found_by_its_source() -> None:
    assert vietnamese_model({"auto": "auto", MODEL: MODEL}) == MODEL
    assert vietnamese_model({"auto": "auto", "vi": MODEL}) == "vi"
    assert vietnamese_model({"auto": "auto"}) == ""


def test_default_replaces_a_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    settings = free_settings(asr_models=f"vi={MODEL}", hub_timeout_seconds=1)
    with serve(settings) as server:
        answer = ask(server, "POST", files={"file": SPOKEN})
    assert (answer.status_code, answer.json()["model"]) == (200, "free")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("../talk.wav", 400, "invalid_path"),
        ("/etc/passwd", 400, "invalid_path"),
        ("passwords", 404, "file_not_found"),
        ("none.wav", 404, "file_not_found"),
        ("", 400, "missing_required_parameter"),
    ],
)
def test_refused_path_has_a_named_error(server: Server, path: str, status: int, code: str) -> None:
    for asynchronous in ("0", "1"):
        answer = ask(server, params={"path": path, "async": asynchronous})
        error = answer.json()
        assert (answer.status_code, error["status"], error["error"]["code"]) == (status, "error", code)
        assert error["transcript"] == ""


def test_file_without_audio_is_refused(server: Server) -> None:
    answer = ask(server, "POST", files={"file": b"no sound at all"})
    assert (answer.status_code, answer.json()["status"]) == (400, "error")


def test_long_file_needs_a_job(server: Server) -> None:
    data = wav(sound((False, 601 * 16_000)))
    refused = ask(server, "POST", files={"file": data})
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "audio_too_long")
    assert "async=1" in refused.json()["error"]["message"]


def test_job_is_answered_at_once(server: Server) -> None:
    for request in ({"files": {"file": ("a.wav", SPOKEN)}}, {"data": {"path": "talk.wav"}}):
        answer = ask(server, "POST", params={"async": "1"}, **request)
        assert (answer.status_code, answer.json()["status"]) == (202, "pending")
        job = {"id": answer.json()["job"]}
        assert ended(server, job)["status"] == "succeeded"
        text = plain_http.get(f"{server.url}{answer.headers['location']}/transcript").json()["text"]
        assert text.startswith("w1 w2")


def test_server_without_a_folder_opens_no_file() -> None:
    with serve(free_settings(), wait_until_ready=False) as server:
        answer = ask(server, params={"path": "talk.wav"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "files_disabled")
