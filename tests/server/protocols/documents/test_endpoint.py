"""Subtitles and documents of transcripts that clients send."""

import io
import json
import zipfile
from typing import Any, Final, get_args

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from server.admission.controller import AdmissionController
from server.errors import ApiError
from server.http.exception_handlers import add_exception_handlers
from server.protocols.document_formats import DocumentFormat, write_document
from server.protocols.documents.endpoint import MAX_BYTES, DocumentsEndpoint
from server.protocols.documents.request import MAX_SECONDS, parse_transcript
from tests.server.live_server import Server, free_settings, serve

TALK: Final = {
    "title": "talk.wav",
    "kind": "file",
    "segments": [
        {"start": 5.0, "end": 6.0, "text": "Good morning <you>", "speaker": "Ben", "edited": False},
        {
            "start": 0.5,
            "end": 2.0,
            "text": "hello there",
            "speaker": "Ann",
            "words": [
                {"word": "hello", "start": 0.5, "end": 1.0, "confidence": 0.9},
                {"word": "there", "start": 1.0, "end": 2.0, "confidence": None},
            ],
        },
    ],
}


def app_of(documents: AdmissionController) -> FastAPI:
    app = FastAPI()
    add_exception_handlers(app)
    summaries = AdmissionController(1, "summaries")
    app.include_router(DocumentsEndpoint(free_settings(), documents, summaries).router())
    return app


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(app_of(AdmissionController(1, "documents")))


def make(client: TestClient, format: str, body: Any = TALK) -> Any:
    return client.post(f"/v1/documents?format={format}", json=body)


def test_subtitles_name_the_speakers(client: TestClient) -> None:
    srt, vtt = make(client, "srt"), make(client, "vtt")
    assert srt.text.startswith("1\n00:00:00,500 --> ")
    assert "\nAnn: hello there\n" in srt.text
    assert "\nBen: Good morning <you>\n" in srt.text
    assert vtt.headers["content-type"] == "text/vtt; charset=utf-8"
    assert vtt.text.startswith("WEBVTT\n\n00:00:00.500 --> ")
    assert "<v Ann>hello there\n" in vtt.text
    assert "<v Ben>Good morning &lt;you&gt;\n" in vtt.text


def test_text_and_markdown_are_in_order_of_time(client: TestClient) -> None:
    assert make(client, "text").text == "Ann: hello there\nBen: Good morning <you>\n"
    lines = make(client, "md").text.split("\n\n")
    assert lines[0] == "# talk.wav"
    assert lines[1] == "**Ann** `00:00:00`  \nhello there"


def test_document_is_made_for_word(client: TestClient) -> None:
    made = make(client, "docx")
    assert made.headers["content-type"].endswith("wordprocessingml.document")
    with zipfile.ZipFile(io.BytesIO(made.content)) as archive:
        assert "hello there" in archive.read("word/document.xml").decode()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "segments"),
        ({"segments": [{"start": 0, "end": 1, "text": "a" * 600_000}] * 2}, "segments"),
        ({"segments": [{"start": -1, "end": 1, "text": "a"}]}, "segments.0.start"),
        ({"segments": [{"start": 0, "end": MAX_SECONDS + 1, "text": "a"}]}, "segments.0.end"),
        ({"segments": [{"start": 2, "end": 1, "text": "a"}]}, "segments.0.end"),
        ({"segments": [{"start": 0, "end": 1, "text": 5}]}, "segments.0.text"),
        ({"segments": [], "title": "a" * 501}, "title"),
        ({"segments": [], "summary": "a"}, "summary"),
        ({"segments": [], "summary": {"text": "a" * 20_001}}, "summary.text"),
    ],
)
def test_wrong_field_is_named(client: TestClient, body: Any, param: str | None) -> None:
    answer = make(client, "srt", body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_value", param)


@pytest.mark.parametrize("path", ["documents?format=srt&", "summaries?", "subtitles?"])
def test_unknown_parameter_of_the_url_is_named(client: TestClient, path: str) -> None:
    refused = client.post(f"/v1/{path}chapter=true", json=TALK)
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert (error["param"], error["code"]) == ("chapter", "unknown_parameter")


def test_parameter_of_the_url_with_two_values_is_refused(client: TestClient) -> None:
    refused = client.post("/v1/documents?format=vtt&format=srt", json=TALK)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "format")
    assert client.post("/v1/documents?format=vtt&format=vtt", json=TALK).status_code == 200


def test_documents_for_readers_show_the_summary(client: TestClient) -> None:
    body = TALK | {"summary": {"text": "Two people *greet*.", "method": "model", "model": "small"}}
    assert "## Summary\n\nTwo people \\*greet\\*.\n\n## Transcript\n" in make(client, "md", body).text
    with zipfile.ZipFile(io.BytesIO(make(client, "docx", body).content)) as archive:
        assert "Two people *greet*." in archive.read("word/document.xml").decode()
    assert make(client, "srt", body).text == make(client, "srt").text


def test_documents_for_readers_have_chapters(client: TestClient) -> None:
    chapters = {"items": [{"start": 5.0, "title": "Later"}, {"start": 0.4999, "title": "# First"}]}
    text = make(client, "md", TALK | {"chapters": chapters}).text
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == ["# talk.wav", "## \\# First", "## Later"]
    assert text.index("hello there") < text.index("## Later") < text.index("Good morning")
    with zipfile.ZipFile(io.BytesIO(make(client, "docx", TALK | {"chapters": chapters}).content)) as archive:
        assert archive.read("word/document.xml").decode().count('"Heading1"') == 2


def test_body_that_is_no_json_is_refused(client: TestClient) -> None:
    broken = client.post(
        "/v1/documents?format=md", content=b"{", headers={"content-type": "application/json"}
    )
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, "invalid_body")
    listed = make(client, "md", []).json()["error"]
    assert (listed["code"], listed["message"]) == ("invalid_body", "Invalid body: it must be an object.")
    plain = client.post("/v1/documents?format=md", content=b"{}", headers={"content-type": "text/plain"})
    assert plain.status_code == 415
    assert make(client, "pdf").status_code == 400


def test_large_transcript_is_accepted_and_a_larger_one_refused() -> None:
    words = [{"word": "speech", "start": 0.25 * i, "end": 0.25 * i + 0.2} for i in range(40_000)]
    segment = {"start": 0, "end": 10_000, "text": " ".join("speech" for _ in words), "words": words}
    with serve(free_settings()) as server:  # with all middleware
        assert len(json.dumps(segment)) > 2 << 20
        made = post(server, json.dumps({"segments": [segment]}).encode())
        assert (made.status_code, made.text.startswith("1\n")) == (200, True)
        assert post(server, b" " * (MAX_BYTES + 1)).status_code == 413


def post(server: Server, body: bytes) -> httpx.Response:
    headers = {"content-type": "application/json"}
    url = f"{server.url}/v1/documents?format=srt"
    return httpx.post(url, content=body, headers=headers, timeout=60, verify=False)


async def test_requests_beyond_the_bound_are_refused() -> None:
    documents = AdmissionController(1, "documents")
    transport = httpx.ASGITransport(app_of(documents))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        with documents.admit(lambda: None):
            refused = await client.post("/v1/documents?format=srt", json=TALK)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "server_overloaded")
        assert (await client.post("/v1/documents?format=srt", json=TALK)).status_code == 200


def _in_order(segment: dict[str, Any]) -> dict[str, Any]:
    start, end = sorted((segment["start"], segment["end"]))
    return segment | {"start": start, "end": end}


SECONDS: Final = st.floats(0, 100, allow_nan=False) | st.integers(0, MAX_SECONDS)
WORDS: Final = st.fixed_dictionaries({"word": st.text(max_size=8), "start": SECONDS, "end": SECONDS})
SEGMENTS: Final = st.fixed_dictionaries(
    {
        "start": SECONDS,
        "end": SECONDS,
        "text": st.text(max_size=40),
        "speaker": st.none() | st.text(max_size=4),
        "words": st.lists(WORDS, max_size=4),
    }
).map(_in_order)


@given(segments=st.lists(SEGMENTS, max_size=6))
@settings(max_examples=150, deadline=None)
def test_every_accepted_transcript_can_be_written(segments: list[dict[str, Any]]) -> None:
    transcript = parse_transcript(json.dumps({"segments": segments}).encode()).transcript
    for format in get_args(DocumentFormat):
        write_document(transcript, format)


def test_error_of_a_field_does_not_repeat_the_text() -> None:
    with pytest.raises(ApiError) as raised:
        parse_transcript(b'{"segments": [{"start": "secret", "end": 1, "text": "a"}]}')
    assert "secret" not in raised.value.message
