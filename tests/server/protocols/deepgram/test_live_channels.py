"""Test live streams of Deepgram's API whose channels are kept apart, over real sockets."""

import asyncio
import io
import json
import wave
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from websockets.exceptions import InvalidStatus

from audio.wav_header import MAX_HEADER
from engine.engine import Engine
from server.admission.controller import AdmissionController
from server.auth.authenticator import Authenticator
from server.observability.metrics import Metrics
from server.protocols.deepgram.live_endpoint import DeepgramLiveEndpoint
from tests.server.fakes import Line
from tests.server.live_server import Client, Message, Server, free_settings, serve, spoken
from tests.server.protocols.deepgram.live_client import closed, of, talk
from tests.server.server_process import Program, scripted
from tests.server.stereo import FIRST_MS, SECOND_MS, interleaved, part, silence
from tests.waiting import until

RAW = {"encoding": "linear16", "sample_rate": "16000", "multichannel": "true"}
STEREO = {**RAW, "channels": "2"}
CALL = interleaved([part(FIRST_MS) + silence(1500), part(SECOND_MS)])
SENTENCES = {
    0: "good morning and welcome to the program",
    1: "she opened the window and looked out over the city",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(free_settings()) as running:
        yield running


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    with scripted() as running:
        assert running.ready()["ready"], running.log
        yield running


CUT = 3201  # bytes of a message, which do not end with a frame


def listening(url: str, **query: str) -> Client:
    return Client(f"{url.replace('http', 'ws', 1)}/v1/listen?{urlencode(query)}")


def texts(messages: list[Message]) -> dict[int, str]:
    """Return the finals of each channel as one text."""
    said: dict[int, list[str]] = {}
    for results in of("Results", messages):
        if results["is_final"]:
            channel, count = results["channel_index"]
            assert count == 2
            said.setdefault(channel, []).append(results["channel"]["alternatives"][0]["transcript"])
    return {channel: " ".join(filter(None, own)) for channel, own in said.items()}


def test_two_who_speak_at_once_each_have_their_words(program: Program) -> None:
    with listening(program.url, **STEREO, diarize="true") as client:
        talk(client, CALL, CUT)
        messages = closed(client)
    assert texts(messages) == SENTENCES
    assert client.close_code == 1000
    for results in of("Results", messages):
        words = results["channel"]["alternatives"][0]["words"]
        assert {word["speaker"] for word in words} == {results["channel_index"][0]}
    assert messages[-1]["type"] == "Metadata"
    assert messages[-1]["channels"] == 2
    assert messages[-1]["duration"] == len(CALL) / 64_000


@pytest.mark.parametrize("chunk", [17, 1 << 20])
def test_a_wav_says_itself_how_many_channels_it_has(program: Program, chunk: int) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(2)
        written.setsampwidth(2)
        written.setframerate(16_000)
        written.writeframes(CALL)
    with listening(program.url, multichannel="true") as client:
        client.say("KeepAlive")
        talk(client, file.getvalue(), chunk)
        messages = closed(client)
    assert texts(messages) == SENTENCES


def test_events_of_speech_name_their_channel(server: Server) -> None:
    asked = {"vad_events": "true", "utterance_end_ms": "500", "interim_results": "true"}
    with listening(server.url, **STEREO, **asked) as client:
        talk(client, interleaved([silence(7600), part(FIRST_MS) + part(SECOND_MS) + silence(1000)]), CUT)
        messages = closed(client)
    for kind in ("SpeechStarted", "UtteranceEnd"):
        assert {tuple(each["channel"]) for each in of(kind, messages)} == {(1, 2)}
    assert {tuple(each["channel_index"]) for each in of("Results", messages)} == {(1, 2)}
    assert len(of("SpeechStarted", messages)) == 2


def test_finalize_ends_the_utterance_of_each_channel_or_of_one(server: Server) -> None:
    both = interleaved([part((0, 1500)), part((0, 1500))])
    with listening(server.url, **STEREO) as client:
        talk(client, both, CUT)
        client.say("Finalize")
        first = [client.hear(), client.hear()]
        talk(client, both, CUT)
        client.say("Finalize", channel=1)
        second = client.hear()
        client.say("Finalize", channel=2)
        error = client.hear()
        rest = closed(client)
    assert {each["channel_index"][0]: each["from_finalize"] for each in first} == {0: True, 1: True}
    assert all(each["channel"]["alternatives"][0]["transcript"] for each in first)
    assert (second["channel_index"], second["from_finalize"]) == ([1, 2], True)
    assert (error["type"], error["variant"]) == ("Error", "SchemaError")
    assert "from 0 to 1" in error["description"]
    assert [(each["channel_index"], each["from_finalize"]) for each in of("Results", rest)] == [
        ([0, 2], False)
    ]


def test_finalize_is_answered_by_a_silent_channel_too(server: Server) -> None:
    with listening(server.url, **STEREO) as client:
        talk(client, interleaved([silence(1500), part((0, 1500))]), CUT)
        client.say("Finalize")
        answers = [client.hear(), client.hear()]
    said = {each["channel_index"][0]: each["channel"]["alternatives"][0]["transcript"] for each in answers}
    assert said[0] == ""
    assert said[1]
    assert all(each["from_finalize"] for each in answers)


def test_keyterms_are_those_of_all_channels(server: Server) -> None:
    with listening(server.url, **STEREO) as client:
        client.say("Configure", keyterms=["Silero"])
        assert client.hear() == {
            "type": "ConfigureSuccess",
            "request_id": of("Metadata", closed(client))[0]["request_id"],
            "keyterms": ["Silero"],
        }


@pytest.mark.parametrize("channels", ["0", "9", "x"])
def test_a_bad_number_of_channels_is_refused_in_the_handshake(server: Server, channels: str) -> None:
    with pytest.raises(InvalidStatus) as refused, listening(server.url, **{**RAW, "channels": channels}):
        pass
    assert refused.value.response.status_code == 400
    assert "channels" in refused.value.response.headers["dg-error"]


def test_opus_has_no_channels_that_can_be_kept_apart(server: Server) -> None:
    asked = {**STEREO, "encoding": "opus"}
    with pytest.raises(InvalidStatus) as refused, listening(server.url, **asked):
        pass
    assert refused.value.response.status_code == 400
    with listening(server.url, multichannel="true") as client:
        client.socket.send(b"OggS" + bytes(100))
        (error,) = client.hear_until_closed()
    assert (client.close_code, error["variant"]) == (1008, "DATA-0000")


@pytest.mark.parametrize("last", ["CloseStream", ""])
def test_a_wav_that_never_comes_is_an_empty_stream(server: Server, last: str) -> None:
    with listening(server.url, multichannel="true") as client:
        client.socket.send(json.dumps({"type": last}) if last else b"")
        (metadata,) = client.hear_until_closed()
    assert (metadata["type"], metadata["duration"]) == ("Metadata", 0.0)
    assert client.close_code == 1000


def test_a_single_channel_may_be_called_multichannel(server: Server) -> None:
    with listening(server.url, **RAW) as client:
        talk(client, spoken(), CUT)
        messages = closed(client)
    assert [each["channel_index"] for each in of("Results", messages)] == [[0, 1]] * 3
    assert of("Metadata", messages)[0]["channels"] == 1


def test_an_incomplete_frame_at_the_end_is_no_error(server: Server) -> None:
    with listening(server.url, **STEREO) as client:
        talk(client, CALL + b"abc", CUT)
        messages = closed(client)
    assert of("Error", messages) == []
    assert {each["channel_index"][0] for each in of("Results", messages)} == {0, 1}


def test_more_channels_than_free_places_are_refused() -> None:
    with serve(free_settings(max_sessions=2)) as server:
        with listening(server.url, **{**RAW, "channels": "3"}) as client:
            (error,) = client.hear_until_closed()
        assert error["variant"] == "server_overloaded"
        assert client.close_code == 1013
        with listening(server.url, **STEREO) as client:
            talk(client, CALL, CUT)
            with pytest.raises(InvalidStatus), listening(server.url, **RAW):
                pass
            assert server.metric("stt_open_sessions") == 1
            assert len(texts(closed(client))) == 2


class Hasty(DeepgramLiveEndpoint):
    header_seconds = 0.01


def endpoint(kind: type[DeepgramLiveEndpoint], admission: AdmissionController) -> DeepgramLiveEndpoint:
    settings = free_settings()
    engine = Engine(settings.engine_options())
    return kind(settings, engine, admission, Metrics(), auth=Authenticator())


async def test_a_client_that_sends_no_wav_header_is_told_and_closed() -> None:
    line, admission = Line(), AdmissionController(1)
    line.says(json.dumps({"type": "KeepAlive"}))
    line.says(b"RIFF")
    await endpoint(Hasty, admission).serve(line.asking("multichannel=true"))
    assert [(each["type"], each["variant"]) for each in line.heard] == [("Error", "NET-0001")]
    assert line.close == (1011, "NET-0001")
    assert len(admission) == 0


async def test_a_server_that_stops_waits_for_no_wav_header() -> None:
    line, admission = Line(), AdmissionController(1)
    serving = asyncio.create_task(
        endpoint(DeepgramLiveEndpoint, admission).serve(line.asking("multichannel=true"))
    )
    await until(lambda: len(admission) == 1)
    await admission.drain(20)
    await serving
    assert line.close == (1012, "server_restarting")


async def test_messages_before_the_wav_header_are_bounded() -> None:
    line, admission = Line(), AdmissionController(1)
    loads = asyncio.create_task(
        endpoint(DeepgramLiveEndpoint, admission).serve(line.asking("multichannel=true"))
    )
    for _ in range(3):
        line.says(json.dumps({"type": "KeepAlive", "filler": "x" * MAX_HEADER}))
    await loads  # no model is loaded, so the session ends as soon as it needs one
    assert line.heard[0]["variant"] == "models_not_ready"


async def test_a_client_that_leaves_before_its_wav_header_is_forgotten() -> None:
    line, admission = Line(), AdmissionController(1)
    line.leaves()
    await endpoint(DeepgramLiveEndpoint, admission).serve(line.asking("multichannel=true"))
    assert line.heard == []
    assert len(admission) == 0
