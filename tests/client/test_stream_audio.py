"""Sending audio to a stream."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from client import ConnectionLost, Event, Final, connect
from client.pacing import at_once
from client.stream_audio import stream_audio, take_until
from tests.client.fake_server import silence, standin, tone


async def test_everything_is_sent_and_every_event_is_shown() -> None:
    events: list[Event] = []
    async with standin("yes") as server, connect(server.url) as stream:
        await stream_audio(stream, at_once([tone(300), silence(400), tone(300)]), events.append)
    assert [(e.text, e.reason) for e in events if isinstance(e, Final)] == [
        ("yes", "silence"),
        ("yes", "end_of_stream"),
    ]


async def test_lost_connection_is_reported_once() -> None:
    async with standin() as server, connect(server.url.replace("/ws/stt", "/ws/loading")) as stream:
        with pytest.raises(ConnectionLost):
            await stream_audio(stream, at_once([silence(100)] * 10_000), lambda event: None)


async def test_error_of_the_source_ends_the_stream() -> None:
    class NoMicrophone(Exception):
        pass

    async def broken() -> AsyncIterator[bytes]:
        yield silence(100)
        raise NoMicrophone

    async with standin() as server, connect(server.url) as stream:
        with pytest.raises(NoMicrophone):
            await stream_audio(stream, broken(), lambda event: None)


async def test_chunks_stop_when_told() -> None:
    stop = asyncio.Event()
    taken = []
    async for chunk in take_until(stop, at_once([b"a", b"b", b"c"])):
        taken.append(chunk)
        if chunk == b"b":
            stop.set()
    assert taken == [b"a", b"b"]
