"""Subtitles that clients send become segments."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from server.admission.controller import AdmissionController
from tests.server.protocols.documents.test_endpoint import app_of

SRT = "1\n00:00:00,500 --> 00:00:01,900\nAnn: Good\nmorning.\n\n2\n00:00:02,000 --> 00:00:03,000\nHello.\n"
VTT = (
    "WEBVTT\n\nNOTE edited\n\n1\n00:00.500 --> 00:01.900 align:start\n<v.loud Ann Lee>Good <i>day</i> &lt;3\n"
)


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(app_of(AdmissionController(1, "documents")))


def read(client: TestClient, body: bytes, kind: str = "text/plain", speakers: str = "true") -> Any:
    headers = {"content-type": kind}
    return client.post(f"/v1/subtitles?speakers={speakers}", content=body, headers=headers)


def segment(start: float, end: float, text: str, speaker: str | None) -> dict[str, Any]:
    return {"start": start, "end": end, "text": text, "speaker": speaker}


def test_names_before_colons_are_speakers_where_they_are_wanted(client: TestClient) -> None:
    assert read(client, SRT.encode()).json() == {
        "segments": [segment(0.5, 1.9, "Good morning.", "Ann"), segment(2.0, 3.0, "Hello.", "Ann")]
    }
    plain = read(client, SRT.encode(), speakers="false").json()["segments"]
    assert plain[0] == segment(0.5, 1.9, "Ann: Good morning.", None)


def test_voices_of_vtt_are_speakers(client: TestClient) -> None:
    answer = read(client, b"\xef\xbb\xbf" + VTT.encode(), "text/vtt", "false")
    assert answer.json() == {"segments": [segment(0.5, 1.9, "Good day <3", "Ann Lee")]}


def test_answer_is_accepted_as_a_document(client: TestClient) -> None:
    body = read(client, SRT.encode()).json()
    assert client.post("/v1/documents?format=text", json=body).text == "Ann: Good morning.\nAnn: Hello.\n"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"hello", "line 1: 'hello' is no time"),
        (b"WEBVTT\n\n00:02.000 --> 00:01.000\na\n", "line 3: the cue ends before it begins"),
        (b"WEBVTT\n\nhello\nyou\n", "line 4: 'you' is no time"),
        (b"\xff\xfe", "no text in UTF-8"),
        (b"", "There are no subtitles"),
        (b"WEBVTT\n", "There are no subtitles"),
    ],
)
def test_bad_file_is_named(client: TestClient, body: bytes, message: str) -> None:
    error = read(client, body).json()["error"]
    assert error["code"] == "invalid_body"
    assert message in error["message"]


def test_other_kind_of_body_is_refused(client: TestClient) -> None:
    assert read(client, b"{}", "application/json").status_code == 415
