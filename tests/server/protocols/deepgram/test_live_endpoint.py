"""The live door of Deepgram's API over real sockets: what docs/deepgram.md says, what bad input costs."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from asr.recognizer import MAX_HOTWORDS, Hypothesis, ModelInfo, RecognitionRequest
from server.connection.client_session import ClientSession
from server.connection.protocol import IdleLimit
from server.connection.websocket import BoundedWebSocket
from server.observability.metrics import Metrics
from server.protocols.deepgram.live_output import DeepgramOutput, ModelMetadata
from server.protocols.deepgram.live_protocol import IDLE_SECONDS, DeepgramProtocol, error_message, idle_error
from server.protocols.deepgram.options import parse_options
from streaming.driver import StreamDriver
from streaming.options import SessionOptions
from tests.server.fakes import Line, running_models, silent_models
from tests.server.live_server import (
    ROOT,
    Client,
    Message,
    Server,
    cut_sentence,
    first_sentence,
    free_settings,
    serve,
    spoken,
)
from tests.server.protocols.deepgram.live_client import closed, of, talk
from tests.streaming.fakes import sound
from tests.waiting import until, wait_until

RAW = {"encoding": "linear16", "sample_rate": "16000", "model": "nova-3"}


@contextmanager
def listening(server: Server, **query: str) -> Iterator[Client]:
    with Client(f"{server.ws.removesuffix('/ws/stt')}/v1/listen?{urlencode(query)}") as client:
        yield client


def transcript(results: Message) -> str:
    text: str = results["channel"]["alternatives"][0]["transcript"]
    return text


def test_a_client_that_asks_for_nothing_hears_finals_then_the_metadata_then_the_end(server: Server) -> None:
    with listening(server, **RAW) as client:
        talk(client, spoken())
        *results, metadata = closed(client)
    assert client.close_code == 1000
    assert [(m["type"], m["is_final"], m["speech_final"]) for m in results] == [("Results", True, True)] * 3
    assert all(transcript(m).startswith("w1 w2") for m in results)
    assert metadata["type"] == "Metadata"
    assert metadata["duration"] == len(spoken()) / 32_000
    assert metadata["sha256"] == sha256(spoken()).hexdigest()
    assert {m["metadata"]["request_id"] for m in results} == {metadata["request_id"]}
    assert next(iter(metadata["model_info"].values()))["name"] == "free"


def test_who_wants_everything_hears_speech_begin_grow_and_end(server: Server) -> None:
    asked = {"interim_results": "true", "vad_events": "true", "utterance_end_ms": "500"}
    with listening(server, **RAW, **asked) as client:
        heard: list[Message] = []
        pcm = first_sentence()
        for start in range(0, len(pcm), 6400):  # so slow that partials are worked out
            client.socket.send(pcm[start : start + 6400])
            client.say("Configure")
            while not heard or heard[-1]["type"] != "ConfigureSuccess":
                heard.append(client.hear())
            heard.pop()
        talk(client, bytes(64_000))
        heard += closed(client)
    assert heard[0]["type"] == "SpeechStarted"
    interims = [m for m in of("Results", heard) if not m["is_final"]]
    (final,) = (m for m in of("Results", heard) if m["is_final"])
    assert interims
    assert {m["start"] for m in interims} == {final["start"]}
    (end,) = of("UtteranceEnd", heard)
    assert end["last_word_end"] == final["channel"]["alternatives"][0]["words"][-1]["end"]
    assert heard.index(end) > heard.index(final)


def test_finalize_ends_the_utterance_at_once_and_each_is_answered(server: Server) -> None:
    with listening(server, **RAW) as client:
        talk(client, first_sentence()[: 32 * 1500])
        for _ in range(3):
            client.say("Finalize")
        answers = [client.hear() for _ in range(3)]
        assert [m["from_finalize"] for m in answers] == [True] * 3
        assert [bool(transcript(m)) for m in answers] == [True, False, False]
        assert answers[0]["start"] + answers[0]["duration"] == 1.5
        assert [m["type"] for m in closed(client)] == ["Metadata"]


def test_a_wav_needs_no_encoding(server: Server) -> None:
    with listening(server, model="nova-3") as client:
        talk(client, (ROOT / "test.wav").read_bytes(), chunk=999)
        messages = closed(client)
    assert len(of("Results", messages)) == 3


def test_any_encoding_of_bare_samples_is_heard(server: Server) -> None:
    pcm = np.frombuffer(first_sentence(), "<i2")
    floats = (pcm / 32768).astype("<f4").tobytes()
    stereo = np.repeat(pcm, 2).tobytes()
    for query, data in (
        ({"encoding": "linear32", "sample_rate": "16000"}, floats),
        ({"encoding": "linear16", "sample_rate": "16000", "channels": "2"}, stereo),
    ):
        with listening(server, **query) as client:
            talk(client, data, chunk=5003)
            (results, _) = closed(client)
        assert results["channel_index"] == [0, 1]
        assert transcript(results).startswith("w1 ")


def test_an_empty_frame_closes_as_it_always_did(server: Server) -> None:
    with listening(server, **RAW) as client:
        talk(client, first_sentence())
        client.socket.send(b"")
        assert [m["type"] for m in client.hear_until_closed()] == ["Results", "Metadata"]
    assert client.close_code == 1000


def test_keyterms_may_change_and_are_told_back(server: Server) -> None:
    with listening(server, **RAW, keyterm="Ada") as client:
        client.say("Configure", keyterms=["New York", "New York"])
        assert client.hear()["keyterms"] == ["New York"]
        client.say("Configure", features={"numerals": True}, keyterms=None)
        success = client.hear()
        assert success["type"] == "ConfigureSuccess"
        assert "keyterms" not in success
        client.say("Configure", keyterms=[str(n) for n in range(MAX_HOTWORDS + 1)])
        failure = client.hear()
        assert (failure["type"], failure["code"]) == ("ConfigureFailure", "CONFIGURE_KEYTERM_LIMIT_EXCEEDED")


@pytest.mark.parametrize(
    "message",
    [
        "{",
        "[]",
        '{"type": "Dance"}',
        "{}",
        '{"type": ["Finalize"]}',
        '{"type": "Configure", "keyterms": "a"}',
    ],
)
def test_a_message_that_is_not_understood_is_an_error_and_not_the_end(server: Server, message: str) -> None:
    with listening(server, **RAW) as client:
        client.socket.send(message)
        error = client.hear()
        assert (error["type"], error["variant"]) == ("Error", "SchemaError")
        client.say("KeepAlive")
        talk(client, first_sentence())
        assert [m["type"] for m in closed(client)] == ["Results", "Metadata"]


def test_what_is_no_sound_closes_with_deepgrams_code(server: Server) -> None:
    with listening(server) as client:
        client.socket.send(b"\x1aE\xdf\xa3 webm")
        (error,) = client.hear_until_closed()
    assert (error["type"], error["variant"]) == ("Error", "DATA-0000")
    assert client.close_code == 1008


@pytest.mark.parametrize("query", [{"encoding": "linear16"}, {"encoding": "opus"}, {"endpointing": "soon"}])
def test_a_bad_url_is_refused_before_the_handshake_is_over(server: Server, query: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus) as caught, listening(server, **query):
        pass
    response = caught.value.response
    assert response.status_code == 400
    answer = json.loads(response.body or b"")
    assert answer["err_code"] == "INVALID_VALUE"
    assert response.headers["dg-error"] == answer["err_msg"]


def test_what_the_url_says_breaks_no_header(server: Server) -> None:
    with pytest.raises(InvalidStatus) as caught, listening(server, encoding="opus\r\nset-cookie: a=b\0"):
        pass
    response = caught.value.response
    assert response.status_code == 400
    assert "set-cookie" not in response.headers
    assert "??set-cookie: a=b?" in response.headers["dg-error"]


@pytest.mark.parametrize("offered", [["token", "secret"], ["bearer", "eyJ"], None])
def test_a_browser_that_offers_its_key_as_a_subprotocol_is_answered(
    server: Server, offered: list[Any] | None
) -> None:
    url = f"{server.ws.removesuffix('/ws/stt')}/v1/listen?{urlencode(RAW)}"
    with connect(url, subprotocols=offered and [Subprotocol(each) for each in offered]) as socket:
        assert socket.subprotocol == (offered and offered[0])


def test_a_client_that_goes_away_leaves_nothing_behind(server: Server) -> None:
    with listening(server, **RAW) as client:
        talk(client, first_sentence())
    wait_until(lambda: server.metric("stt_open_sessions") == 0)


def test_the_server_goes_on_after_a_message_that_is_too_long(server: Server) -> None:
    with listening(server, **RAW) as client:
        client.socket.send(bytes(2 << 20))
        assert [m["type"] for m in client.hear_until_closed()] == ["Error"]
    assert client.close_code == 1009
    with listening(server, **RAW) as client:
        assert [m["type"] for m in closed(client)] == ["Metadata"]


async def test_who_says_nothing_for_long_is_told_and_closed() -> None:
    class Hasty(DeepgramProtocol):
        idle_limit = IdleLimit(0.01, idle_error)

    line = Line()
    socket = BoundedWebSocket(await line.accepted(), max_message_bytes=1 << 20, send_timeout=3600)
    asked = parse_options(RAW.items(), SessionOptions())
    model = ModelMetadata.of(ModelInfo("m", "m", "f", "cpu", "none"))
    with StreamDriver(silent_models(), asked.session) as pump:
        dialect = Hasty(pump, asked, [DeepgramOutput(asked, model, "5f1c", "")])
        async with asyncio.timeout(20):
            await ClientSession("5f1c", pump, dialect, Metrics()).run(socket)
    assert [(m["type"], m["variant"]) for m in line.heard] == [("Error", "NET-0001")]
    assert line.close == (1011, "NET-0001")
    assert DeepgramProtocol.idle_limit.seconds == IDLE_SECONDS == 10
    assert error_message(idle_error())["variant"] == "NET-0001"


async def test_idle_client_gets_its_words_as_a_final_before_the_close() -> None:
    class Hasty(DeepgramProtocol):
        idle_limit = IdleLimit(0.2, idle_error)

    line, asked = Line(), parse_options([*RAW.items(), ("interim_results", "true")], SessionOptions())
    socket = BoundedWebSocket(await line.accepted(), max_message_bytes=1 << 20, send_timeout=3600)
    model = ModelMetadata.of(ModelInfo("m", "m", "f", "cpu", "none"))
    line.says((sound((True, 32_000)) * 32767).astype("<i2").tobytes())
    async with running_models() as models:
        with StreamDriver(models, asked.session) as driver:
            protocol = Hasty(driver, asked, [DeepgramOutput(asked, model, "5f1c", "")])
            await ClientSession("5f1c", driver, protocol, Metrics()).run(socket)
    final, error = line.heard[-2:]
    assert (final["is_final"], final["duration"], transcript(final) != "") == (True, 2.0, True)
    assert [each["is_final"] for each in of("Results", line.heard)].count(True) == 1
    assert (error["type"], error["variant"]) == ("Error", "NET-0001")
    assert line.close == (1011, "NET-0001")


def test_keepalive_is_no_audio_and_the_stream_goes_on() -> None:
    with serve(free_settings(no_audio_seconds=0.2)) as server, listening(server, **RAW) as client:
        talk(client, cut_sentence())
        client.say("KeepAlive")
        final = client.hear()
        assert (final["is_final"], final["speech_final"], final["from_finalize"]) == (True, True, False)
        talk(client, spoken())
        later = of("Results", closed(client))
    assert later[0]["start"] >= final["start"] + final["duration"]


async def test_keyterms_are_those_of_when_the_speech_began() -> None:
    heard: list[tuple[str, ...]] = []

    def transcribe(recognizer: object, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        heard.extend(request.options.hotwords for request in requests)
        return [Hypothesis("good") for _ in requests]

    line, asked = Line(), parse_options([*RAW.items(), ("keyterm", "Silero")], SessionOptions())
    socket = BoundedWebSocket(await line.accepted(), max_message_bytes=1 << 20, send_timeout=3600)
    model = ModelMetadata.of(ModelInfo("m", "m", "f", "cpu", "none"))
    pcm = (sound((True, 32_000)) * 32767).astype("<i2").tobytes()
    async with running_models(transcribe=transcribe) as models:
        with StreamDriver(models, asked.session) as driver:
            protocol = DeepgramProtocol(driver, asked, [DeepgramOutput(asked, model, "5f1c", "")])
            running = asyncio.create_task(ClientSession("5f1c", driver, protocol, Metrics()).run(socket))
            line.says(pcm)
            await until(lambda: driver.session.is_speaking)
            line.says(json.dumps({"type": "Configure", "keyterms": ["Moonshine"]}))
            line.says(json.dumps({"type": "Finalize"}))
            line.says(pcm)
            line.says(json.dumps({"type": "CloseStream"}))
            await running
    assert heard == [("Silero",), ("Moonshine",)]
