"""Test the openai SDK for Python against a real server with a recognizer of fixed words."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.environments import OPENAI, python_environment, run_script
from tests.server.live_server import ROOT
from tests.server.server_process import scripted

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # a client may have to be fetched

WORDS = " ".join((ROOT / "test.txt").read_text().lower().replace(".", "").replace(",", "").split())


@pytest.fixture(scope="module")
def rest() -> Iterator[Any]:
    """Return the output of tests/clients/scripts/openai_rest.py."""
    python = python_environment("openai", OPENAI)
    with scripted(MAX_UPLOAD_BYTES=str(2 << 20)) as server:
        assert server.ready()["ready"], server.log
        yield run_script([python], "openai_rest.py", f"{server.url}/v1", str(ROOT / "test.wav"))


def test_json_is_the_text_with_its_usage(rest: Any) -> None:
    assert rest["json"]["text"] == WORDS
    assert rest["json"]["usage"] == {"type": "duration", "seconds": 13.0}


def test_the_answer_says_which_model_did_the_work(rest: Any) -> None:
    assert (rest["headers"]["x-model"], rest["json"]["model"]) == ("scripted", "scripted")
    assert rest["headers"]["x-request-id"].startswith("req_")


def test_text_and_subtitles_are_strings(rest: Any) -> None:
    assert rest["text"] == WORDS + "\n"
    assert rest["srt"].startswith("1\n00:00:0")
    assert rest["vtt"].startswith("WEBVTT\n\n00:00:0")


def test_verbose_json_has_segments_and_words(rest: Any) -> None:
    verbose = rest["verbose"]
    assert (verbose["language"], verbose["text"]) == ("english", WORDS)
    assert [segment["id"] for segment in verbose["segments"]] == [0, 1, 2]
    assert " ".join(word["word"] for word in verbose["words"]) == WORDS
    assert None not in verbose["segments"][0].values()
    assert "".join(segment["text"] for segment in verbose["segments"]) == f" {WORDS}"
    assert 12 < verbose["duration"] < 12.1


def test_diarized_json_has_one_speaker(rest: Any) -> None:
    assert {segment["speaker"] for segment in rest["diarized"]["segments"]} == {"A"}


def test_known_speakers_are_understood_and_refused_without_the_model(rest: Any) -> None:
    refused = rest["errors"]["speakers"]
    assert (refused["status"], refused["code"], refused["param"]) == (400, "unsupported_value", "diarize")


def test_every_field_that_the_sdk_sends_is_understood(rest: Any) -> None:
    full = rest["full"]
    assert "".join(each["token"] for each in full["logprobs"]) == full["text"]
    assert full["ignored"] == ["keywords", "language", "prompt"]


def test_deltas_add_up(rest: Any) -> None:
    *deltas, done = rest["stream"]["events"]
    assert "".join(each["delta"] for each in deltas) == done["text"] == WORDS
    assert rest["stream"]["types"] == ["TranscriptionTextDeltaEvent"] * 3 + ["TranscriptionTextDoneEvent"]
    assert done["usage"] is None


@pytest.mark.parametrize("client", ["azure", "azure deployment"])
def test_the_client_for_azure_works(rest: Any, client: str) -> None:
    assert rest[client] == {"text": WORDS, "models": ["scripted"]}


def test_a_translation_by_an_english_model_is_its_transcription(rest: Any) -> None:
    assert (rest["translation"]["text"], rest["translation"]["model"]) == (WORDS, "scripted")


def test_models_are_listed(rest: Any) -> None:
    assert rest["models"] == ["scripted"]
    assert rest["model"]["id"] == "whisper-1"


@pytest.mark.parametrize(
    ("name", "kind", "status", "param", "code"),
    [
        ("language", "BadRequestError", 400, "language", "invalid_language_format"),
        ("temperature", "BadRequestError", 400, "temperature", "invalid_value"),
        ("file", "BadRequestError", 400, "file", "invalid_audio"),
        ("empty", "BadRequestError", 400, "file", "audio_too_short"),
        ("large", "APIStatusError", 413, None, None),
        ("model", "NotFoundError", 404, "model", "model_not_found"),
        ("path", "NotFoundError", 404, None, None),
    ],
)
def test_an_error_is_the_sdks_own_exception(
    rest: Any, name: str, kind: str, status: int, param: str | None, code: str | None
) -> None:
    error = rest["errors"][name]
    assert (error["kind"], error["status"], error["param"], error["code"]) == (kind, status, param, code)
    assert error["request_id"].startswith("req_")
    assert error["type"] in ("invalid_request_error", "server_error")
