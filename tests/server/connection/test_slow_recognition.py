"""Test that a client stays connected, and loses no word, while models load or recognition is slow.

The client is `websockets` as it is: it closes the connection if a ping is not answered in time.
"""

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence

import pytest
from websockets.asyncio.client import ClientConnection, connect

from asr.dummy import DummyRecognizer
from asr.model_registry import EMBEDDED
from asr.recognizer import Hypothesis, RecognitionRequest
from audio.clip import SAMPLE_RATE
from tests.server.live_server import Message, Server, free_settings, serve, spoken
from tests.waiting import wait_until

NAME = "held"
PONG_SECONDS = 20.0  # the limit of `websockets`
MINUTES = 3


class Held(DummyRecognizer):
    """Load and answer when the test lets it."""

    may_load = threading.Event()
    may_answer = threading.Event()

    def __init__(self) -> None:
        assert self.may_load.wait(60)

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        is_warm_up = not any(request.utterance for request in requests)
        assert is_warm_up or self.may_answer.wait(60)
        return super().transcribe(requests)


EMBEDDED[NAME] = Held


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(free_settings(asr_model=NAME), wait_until_ready=False) as running:
        try:
            yield running
        finally:
            Held.may_load.set()
            Held.may_answer.set()


def connected(server: Server) -> connect:
    return connect(
        server.ws,
        ping_interval=1,
        ping_timeout=PONG_SECONDS,
        compression=None,
        max_size=None,
        proxy=None,
    )


async def is_read(socket: ClientConnection) -> None:
    """Wait until the server answers a ping, which it reads after everything that was sent before."""
    async with asyncio.timeout(PONG_SECONDS):
        await (await socket.ping())


async def finals(socket: ClientConnection) -> list[Message]:
    messages = [json.loads(text) async for text in socket]
    return [each for each in messages if each["type"] == "response.audio_transcript.done"]


async def test_client_stays_connected_while_the_model_loads(server: Server) -> None:
    async with connected(server) as socket:
        pcm = spoken()
        for start in range(0, len(pcm), 3200):
            await socket.send(pcm[start : start + 3200])
        await is_read(socket)
        assert server.get("/ready").status_code == 503
        Held.may_load.set()
        Held.may_answer.set()
        await socket.send(json.dumps({"type": "end_of_stream"}))
        assert len(await finals(socket)) == 3
    assert socket.close_code == 1000
    Held.may_answer.clear()


async def test_minutes_of_speech_wait_for_a_slow_recognizer(server: Server) -> None:
    """All of it is read, at the pace of the detector, and the pings between are answered."""
    Held.may_load.set()
    await asyncio.to_thread(wait_until, lambda: server.get("/ready").status_code == 200)
    pcm = spoken()
    times = MINUTES * 60 * SAMPLE_RATE * 2 // len(pcm)
    async with connected(server) as socket:
        for _ in range(times):
            for start in range(0, len(pcm), 6400):
                await socket.send(pcm[start : start + 6400])
        await is_read(socket)
        Held.may_answer.set()
        await socket.send(json.dumps({"type": "end_of_stream"}))
        heard = await finals(socket)
    assert socket.close_code == 1000
    assert len(heard) == 3 * times
    starts = [each["start_ms"] for each in heard]
    assert starts == sorted(starts)
    Held.may_answer.clear()
