"""Transcribe files that the server downloads."""

import asyncio

import httpx

from tests import plain_http
from tests.downloads.web_servers import answer, answering, ok
from tests.server.asgi_calls import wav
from tests.server.live_server import Server, free_settings, serve
from tests.streaming.fakes import sound

FORM = {"temperature": (None, "0")}  # a form in parts, though without a file


def ask(server: Server, fields: dict[str, str]) -> httpx.Response:
    return plain_http.post(f"{server.url}/v1/audio/transcriptions", data=fields, files=FORM, timeout=60)


async def test_downloaded_file_is_transcribed_like_an_upload() -> None:
    settings = free_settings(fetch_urls=True, fetch_private=True)
    content = wav(sound((True, 16_000), (False, 16_000)))
    with serve(settings) as server:
        async with answering(ok(content), ok(b"none")) as (url, _):
            fields = {"url": f"{url}/speech.wav", "model": "whisper-1"}
            answer = await asyncio.to_thread(ask, server, fields)
            assert (answer.status_code, answer.json()["usage"]["seconds"]) == (200, 2)
            refused = await asyncio.to_thread(ask, server, fields)
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_audio")


async def test_failed_download_is_an_error_of_the_request() -> None:
    settings = free_settings(fetch_urls=True, fetch_private=True, max_upload_bytes=2_000)
    with serve(settings) as server:
        async with answering(answer(404), ok(b"x" * 2_001)) as (url, _):
            fields = {"url": f"{url}/speech.wav", "model": "whisper-1"}
            missing = await asyncio.to_thread(ask, server, fields)
            assert (missing.status_code, missing.json()["error"]["code"]) == (400, "fetch_failed")
            assert missing.json()["error"]["param"] == "url"
            assert (await asyncio.to_thread(ask, server, fields)).status_code == 413


def test_urls_are_refused_by_default(server: Server) -> None:
    answer = ask(server, {"url": "http://127.0.0.1:1/", "model": "whisper-1"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "url")
    assert "does not download" in answer.json()["error"]["message"]
    assert "FETCH_URLS=true" in answer.json()["error"]["message"]


def test_refusal_of_a_private_address_names_the_setting() -> None:
    with serve(free_settings(fetch_urls=True)) as server:
        private = ask(server, {"url": "http://127.0.0.1:1/", "model": "whisper-1"})
        malformed = ask(server, {"url": "ftp://example.org/", "model": "whisper-1"})
    for refused in (private, malformed):
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_url")
    assert "FETCH_PRIVATE=true" in private.json()["error"]["message"]
    assert "FETCH_PRIVATE" not in malformed.json()["error"]["message"]
