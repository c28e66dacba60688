"""Test receiving the body of a request within limits."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.requests import ClientDisconnect, Request

from server.errors import ApiError
from server.http.upload import IN_MEMORY, MAX_JSON_BYTES, PIECE, Body, receive_upload
from tests.server.asgi_calls import asking

SOUND = b"some sound"


class Sender:
    """Send pieces of a body, then stall, disconnect or end. asked: how often it was read from"""

    def __init__(self, *pieces: bytes, then: str = "ends") -> None:
        self.pieces = [*pieces]
        self.asked = 0
        self._then = then

    async def __call__(self) -> Any:
        self.asked += 1
        if self.pieces:
            piece = self.pieces.pop(0)
            more = bool(self.pieces) or self._then != "ends"
            return {"type": "http.request", "body": piece, "more_body": more}
        if self._then == "hangs up":
            return {"type": "http.disconnect"}
        await asyncio.Event().wait()
        raise AssertionError


def request(sender: Sender, **headers: str) -> Request:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": pairs}, sender)


def form(sent: httpx.Request, *pieces: bytes, then: str = "ends") -> tuple[Request, Sender]:
    sender = Sender(*(pieces or (sent.read(),)), then=then)
    return request(sender, content_type=sent.headers["content-type"]), sender


async def read(sent: Request, limit: int = 1 << 30) -> tuple[list[tuple[str, object]], bytes | None]:
    async with Body(sent, limit) as body, receive_upload(sent, body) as upload:
        return [*upload.fields], None if upload.file is None else upload.file.read()


@pytest.mark.parametrize("size", [0, 1, PIECE + 1, IN_MEMORY + 1])
async def test_file_is_complete_and_at_its_beginning(size: int) -> None:
    sound = bytes(range(256)) * (size // 256 + 1)
    sent, _ = form(asking(file=sound[:size]))
    assert await read(sent) == ([("model", "whisper-1")], sound[:size])


async def test_without_a_file_there_is_none() -> None:
    sent, _ = form(asking())
    assert await read(sent) == ([("model", "whisper-1")], None)


async def test_json_contains_audio_and_fields() -> None:
    body = b'{"model": "m", "temperature": 0.5, "input_audio": {"data": "c29tZSBzb3VuZA==", "format": "wav"}}'
    fields, file = await read(request(Sender(body), content_type="application/json; charset=utf-8"))
    assert (fields, file) == ([("model", "m"), ("temperature", 0.5)], SOUND)


async def test_body_is_accepted_up_to_the_limit() -> None:
    whole = asking(file=SOUND)
    size = len(whole.read())
    assert (await read(form(whole)[0], limit=size))[1] == SOUND
    with pytest.raises(ApiError, match=rf"\({size - 1}\) exceeded \({size} bytes read\)") as refused:
        await read(form(whole)[0], limit=size - 1)
    assert refused.value.status == 413


async def test_declared_length_above_the_limit_is_refused_early() -> None:
    sender = Sender(b"x", then="waits")
    sent = request(
        sender, content_type="application/json", content_length=str(MAX_JSON_BYTES + 1), expect="100-continue"
    )
    with pytest.raises(ApiError) as refused:
        await read(sent)
    assert (refused.value.status, sender.asked) == (413, 0)
    assert refused.value.headers == {"connection": "close"}


async def test_rest_of_a_refused_body_is_read() -> None:
    sent, sender = form(asking(file=SOUND), *[b"x" * 1_000] * 9)
    with pytest.raises(ApiError) as refused:
        await read(sent, limit=1_500)
    assert (sender.pieces, refused.value.headers) == ([], {})


async def test_endless_refused_body_is_read_only_in_part() -> None:
    sent, sender = form(asking(file=SOUND), *[b"x" * (1 << 20)] * 99)
    with pytest.raises(ApiError) as refused:
        await read(sent, limit=1_500)
    assert len(sender.pieces) > 30
    assert refused.value.headers == {"connection": "close"}


async def test_stalled_body_is_answered_with_408() -> None:
    sent, _ = form(asking(file=SOUND), b"--", then="waits")
    body = Body(sent, 1_000, idle_seconds=0.01)
    with pytest.raises(ApiError) as refused:
        async for _ in body.chunks(1_000):
            pass
    assert (refused.value.status, refused.value.code) == (408, "request_timeout")


async def test_disconnect_raises_client_disconnect() -> None:
    sent, _ = form(asking(file=SOUND), b"--", then="hangs up")
    with pytest.raises(ClientDisconnect):
        await read(sent)


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded"])
async def test_other_media_types_are_refused(kind: str) -> None:
    with pytest.raises(ApiError) as refused:
        await read(request(Sender(b"x"), content_type=kind))
    assert refused.value.status == 415


@pytest.mark.parametrize(("piece", "seconds", "is_taken"), [(1, 10.0, False), (1 << 15, 10.0, True)])
async def test_slow_body_is_refused(piece: int, seconds: float, is_taken: bool) -> None:
    """Each piece arrives within the idle timeout, but the mean rate is too low."""
    clock = iter(range(0, 1_000, int(seconds)))
    body = Body(request(Sender(*[bytes(piece)] * 10)), 1 << 30, now=lambda: float(next(clock)))
    if is_taken:
        assert len([chunk async for chunk in body.chunks(1 << 30)]) == 10
        return
    with pytest.raises(ApiError) as refused:
        _ = [chunk async for chunk in body.chunks(1 << 30)]
    assert refused.value.status == 408
