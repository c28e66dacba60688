"""Test files over HTTP with Deepgram's API."""

import asyncio
import io
import json
import wave
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import httpx
import numpy as np
import pytest

from audio.codecs import Encoding, Format
from audio.wav_header import header
from server.errors import too_large
from server.http.request_id import REQUEST_ID
from server.protocols.deepgram.file_endpoint import deepgram_error
from tests import plain_http
from tests.audio.test_files import encoded, two_tracks
from tests.downloads.web_servers import answering, ok
from tests.postprocessing.chat_server import chat_server, says
from tests.server.live_server import ROOT, Message, Server, free_settings, serve, spoken, spoken_apart

SPOKEN = (ROOT / "test.wav").read_bytes()


@pytest.fixture(scope="module")
def narrow() -> Iterator[Server]:
    """Serve with low limits."""
    with serve(free_settings(max_upload_bytes=500_000, max_file_seconds=5.0)) as running:
        yield running


def post(server: Server, body: Any = SPOKEN, content_type: str = "audio/wav", **query: str) -> httpx.Response:
    headers = {"content-type": content_type, "authorization": "Token secret"}
    return plain_http.post(f"{server.url}/v1/listen", content=body, headers=headers, params=query, timeout=60)


def error_of(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()
    assert error.keys() == {"err_code", "err_msg", "request_id"}
    assert error["request_id"] == answer.headers["dg-request-id"]
    return answer.status_code, error["err_code"]


def transcript_of(answer: httpx.Response) -> str:
    text: str = answer.json()["results"]["channels"][0]["alternatives"][0]["transcript"]
    return text


def words(answer: httpx.Response) -> list[Message]:
    (channel,) = answer.json()["results"]["channels"]
    found: list[Message] = channel["alternatives"][0]["words"]
    return found


def test_the_response_has_transcript_and_metadata(server: Server) -> None:
    apart = header(Encoding(Format.PCM16, 16_000)) + spoken_apart()
    answer = post(server, apart, model="nova-3", utterances="true", utt_split="0.5")
    metadata = answer.json()["metadata"]
    assert answer.status_code == 200
    assert metadata["request_id"] == answer.headers["dg-request-id"]
    assert metadata["sha256"] == sha256(apart).hexdigest()
    assert metadata["duration"] == 16.03
    assert next(iter(metadata["model_info"].values()))["name"] == "free"
    assert len(answer.json()["results"]["utterances"]) == 2
    assert words(answer)[0]["word"] == "w1"


def test_file_is_redacted(server: Server) -> None:
    answer = post(server, redact="aggressive_numbers", punctuate="true", utterances="true", paragraphs="true")
    assert transcript_of(answer).startswith("w[NUMBER] w[NUMBER]")
    assert "w1" not in answer.text
    assert {word["word"] for word in words(answer)} == {"[NUMBER]"}


def test_part_of_a_file_has_the_times_of_the_file(server: Server) -> None:
    late = post(server, start="600")
    assert late.status_code == 400
    assert "The start, 600 s, is after the end of the file" in late.json()["err_msg"]
    answer = post(server, start="4", end="6")
    assert answer.json()["metadata"]["duration"] == 2
    assert all(4 <= word["start"] < word["end"] <= 6 for word in words(answer))
    assert words(answer)


def test_summary_of_a_model_has_the_shape_of_deepgram() -> None:
    with chat_server(lambda request: says("They count words.")) as served:
        settings = free_settings(summary_url=served.url, summary_model="small")
        with serve(settings) as server:
            answer = post(server, summarize="v2", punctuate="true")
    assert answer.json()["results"]["summary"] == {
        "result": "success",
        "short": "They count words.",
        "method": "model",
    }
    assert transcript_of(answer) in served.requests[0]["messages"][1]["content"]


def test_summary_without_a_model_is_extractive(server: Server) -> None:
    summary = post(server, summarize="v2").json()["results"]["summary"]
    assert (summary["result"], summary["method"]) == ("success", "extractive")
    assert summary["short"].startswith("w1 w2")
    assert "summary" not in post(server).json()["results"]


def test_raw_samples_are_transcribed(server: Server) -> None:
    raw = post(server, spoken(), "application/octet-stream", encoding="linear16", sample_rate="16000")
    assert raw.json()["metadata"]["sha256"] == sha256(spoken()).hexdigest()
    assert words(raw) == words(post(server))


def test_a_chunked_body_is_transcribed(server: Server) -> None:
    pieces = (SPOKEN[start : start + 50_000] for start in range(0, len(SPOKEN), 50_000))
    assert words(post(server, pieces)) == words(post(server))


def test_an_encoding_with_a_container_is_ignored(server: Server) -> None:
    assert words(post(server, encoding="flac")) == words(post(server))


@pytest.mark.parametrize(
    ("body", "content_type", "query", "error"),
    [
        (b"", "audio/wav", {}, "AUDIO_TOO_SHORT"),
        (SPOKEN[:44], "audio/wav", {}, "AUDIO_TOO_SHORT"),
        (b"", "audio/raw", {"encoding": "mulaw"}, "AUDIO_TOO_SHORT"),
        (SPOKEN, "audio/wav", {"track": "1"}, "INVALID_VALUE"),
        (SPOKEN, "audio/wav", {"track": "x"}, "INVALID_VALUE"),
        (b"not audio", "audio/wav", {}, "INVALID_AUDIO"),
        (json.dumps({"url": "http://here/a.wav"}), "application/json", {}, "REMOTE_CONTENT_ERROR"),
        (b"{", "application/json", {}, "INVALID_BODY"),
        (b'{"url": 7}', "application/json", {}, "INVALID_URL"),
        (SPOKEN, "audio/wav", {"language": "klingonese"}, "INVALID_VALUE"),
        (SPOKEN, "audio/wav", {"encoding": "linear16"}, "INVALID_VALUE"),
    ],
    ids=[
        "nothing",
        "a header",
        "no samples",
        "no track",
        "a word",
        "text",
        "a url",
        "no json",
        "no url",
        "a language",
        "no rate",
    ],
)
def test_errors_have_the_format_of_deepgram(
    server: Server, body: Any, content_type: str, query: dict[str, str], error: str
) -> None:
    assert error_of(post(server, body, content_type, **query)) == (400, error)


def test_the_track_can_be_chosen(server: Server) -> None:
    durations = [post(server, two_tracks(), track=track).json()["metadata"]["duration"] for track in "01"]
    assert durations == [1.0, 2.0]


def test_channels_are_transcribed_apart_on_request(server: Server) -> None:
    with wave.open(io.BytesIO(SPOKEN)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    stereo = np.stack((samples, np.zeros_like(samples)), axis=1).tobytes()
    raw = {"encoding": "linear16", "sample_rate": "16000", "channels": "2"}
    body = post(server, stereo, multichannel="true", **raw).json()
    assert body["metadata"]["channels"] == 2
    texts = [each["alternatives"][0]["transcript"] for each in body["results"]["channels"]]
    assert texts == [transcript_of(post(server)), ""]


def test_a_truncated_file_is_transcribed_with_a_warning(server: Server) -> None:
    data = encoded("flac", "flac", 16_000, "mono", seconds=6.0)
    (warning,) = post(server, data[: len(data) // 2]).json()["metadata"]["warnings"]
    assert (warning["parameter"], warning["type"]) == ("file", "incomplete_audio")
    assert warning["message"].startswith("The file is incomplete: ")


async def test_a_file_at_a_url_is_transcribed() -> None:
    with serve(free_settings(fetch_urls=True, fetch_private=True)) as server:
        async with answering(ok(SPOKEN), ok(spoken()), ok(b"none")) as (url, _):
            body, raw = json.dumps({"url": f"{url}/a.wav"}), {"encoding": "linear16", "sample_rate": "16000"}
            fetched = await asyncio.to_thread(post, server, body, "application/json")
            bare = await asyncio.to_thread(post, server, body, "application/json", **raw)
            nothing = await asyncio.to_thread(post, server, body, "application/json")
        sent = await asyncio.to_thread(post, server)
    assert words(fetched) == words(sent) == words(bare)
    assert fetched.json()["metadata"]["sha256"] == sha256(SPOKEN).hexdigest()
    assert bare.json()["metadata"]["sha256"] == sha256(spoken()).hexdigest()
    assert error_of(nothing) == (400, "INVALID_AUDIO")


def test_a_body_that_is_too_large_is_refused(narrow: Server) -> None:
    assert error_of(post(narrow, bytes(600_000))) == (413, "PAYLOAD_TOO_LARGE")
    assert error_of(post(narrow)) == (413, "AUDIO_TOO_LONG")


def test_the_projects_are_listed_for_a_valid_key() -> None:
    with serve(free_settings(api_keys="a:0123456789abcdef"), wait_until_ready=False) as server:
        url = f"{server.url}/v1/projects"
        listed = plain_http.get(url, headers={"authorization": "Token 0123456789abcdef"})
        (project,) = listed.json()["projects"]
        assert (listed.status_code, project.keys()) == (200, {"project_id", "name"})
        refused = plain_http.get(url, headers={"authorization": "Token wrong"})
        assert error_of(refused) == (401, "INVALID_AUTH")
        assert error_of(plain_http.post(f"{server.url}/v1/listen", content=b"")) == (401, "INVALID_AUTH")


def test_an_error_keeps_its_status_and_has_an_id() -> None:
    answer = deepgram_error(too_large(1, 2), {REQUEST_ID: "req_1"})
    assert answer.status_code == 413
    told = json.loads(bytes(answer.body))
    assert (told["err_code"], told["request_id"]) == ("PAYLOAD_TOO_LARGE", "req_1")
    assert answer.headers["dg-request-id"] == "req_1"


def test_a_loading_server_answers_with_retry_after() -> None:
    with serve(free_settings(asr_model="/nowhere"), wait_until_ready=False) as loading:
        answer = post(loading)
    assert error_of(answer) == (503, "MODELS_NOT_READY")
    assert "retry-after" in answer.headers
