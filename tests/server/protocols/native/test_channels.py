"""Test sessions of the native protocol whose channels are kept apart."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from server.connection.client_session import ClientSession
from server.connection.websocket import BoundedWebSocket
from server.observability.metrics import Metrics
from server.protocols.native.protocol import NativeProtocol
from server.protocols.native.session_config import SessionConfig
from streaming.multichannel import MultichannelStream
from streaming.options import SessionOptions
from tests.server.fakes import Line, running_models
from tests.server.live_server import Client, Message, Server, dones, errors, free_settings, serve
from tests.server.server_process import scripted
from tests.server.stereo import FIRST_MS, SECOND_MS, interleaved, part, silence
from tests.streaming.fakes import FEW_GUARDS, sound
from tests.waiting import wait_until

CALL = interleaved([part(FIRST_MS) + silence(1500), part(SECOND_MS)])
CALL_MS = len(CALL) // 64
BEGUN = interleaved([part((0, 1500)), part((0, 1500))])
STEREO = {"multichannel": "true", "channels": "2"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(free_settings(no_audio_seconds=0)) as running:
        yield running


def session(server: Server, **query: str) -> Client:
    return Client(f"{server.ws}?{urlencode({'include_audio': 'false', **query})}")


def of_type(type_: str, messages: Sequence[Message]) -> list[Message]:
    return [each for each in messages if each["type"] == type_]


def of_channel(channel: int, messages: Sequence[Message]) -> list[Message]:
    return [each for each in messages if each["channel"] == channel]


def test_two_who_speak_at_once_each_have_their_words() -> None:
    with scripted() as program:
        assert program.ready()["ready"], program.log
        with Client(f"{program.ws}?{urlencode({**STEREO, 'words': 'true'})}") as client:
            client.talk(CALL, chunk=4801)
            said = dones(client.end())
    texts = {
        channel: " ".join(each["transcript"] for each in of_channel(channel, said)) for channel in (0, 1)
    }
    assert texts == {
        0: "good morning and welcome to the program",
        1: "she opened the window and looked out over the city",
    }
    for each in said:
        assert each["speaker"] == "AB"[each["channel"]]
        assert {word["speaker"] for word in each["words"]} == {each["speaker"]}
    assert client.close_code == 1000


def test_every_message_about_speech_names_its_channel(server: Server) -> None:
    with session(server, **STEREO, events="all") as client:
        for start in range(0, len(CALL), 6_400):  # as fast as the server reads, in binary frames
            client.socket.send(CALL[start : start + 6_400])
        messages = client.end()
    created = messages[0]["session"]
    assert (created["multichannel"], created["channels"]) == (True, 2)
    about_speech = [
        *(f"input_audio_buffer.speech_{each}" for each in ("started", "stopped")),
        "response.audio_transcript.done",
    ]
    for channel in (0, 1):
        own = [each for each in messages if each.get("channel") == channel]
        kinds = [each["type"] for each in own if each["type"] in about_speech]
        assert kinds == about_speech * (len(kinds) // 3) != []
        ids = [each["item_id"] for each in dones(own)]
        assert [each["previous_item_id"] for each in dones(own)] == [None, *ids[:-1]]
        assert all(each["item_id"] in ids for each in of_type("transcript.partial", own))
    assert len({each["item_id"] for each in dones(messages)}) == len(dones(messages))
    acknowledged = of_type("input_audio_buffer.acknowledged", messages)
    assert max(each["received_ms"] for each in acknowledged) <= CALL_MS
    closed = messages[-1]
    assert closed["received_ms"] == 2 * CALL_MS
    assert closed["received_ms"] == closed["speech_ms"] + closed["non_speech_ms"] + closed["dropped_ms"]
    assert [each["seq"] for each in messages] == list(range(1, len(messages) + 1))


def test_a_marker_comes_once_after_the_finals_of_all_channels(server: Server) -> None:
    with session(server, **STEREO) as client:
        client.talk(BEGUN)
        client.say("input_audio_buffer.commit")
        client.say("marker", id="a")
        client.say("marker", id="b")
        messages = [client.hear() for _ in range(4)]
        rest = client.end()
    assert sorted(each["channel"] for each in messages[:2]) == [0, 1]
    assert [each["reason"] for each in messages[:2]] == ["commit", "commit"]
    assert [each["id"] for each in messages[2:]] == ["a", "b"]
    assert not {"marker", "error"} & {each["type"] for each in rest}


def test_clear_drops_what_is_open_in_every_channel(server: Server) -> None:
    cleared = "input_audio_buffer.cleared"
    with session(server, **STEREO, events=f"{cleared},session.closed") as client:
        client.talk(BEGUN)
        client.say("input_audio_buffer.clear")
        messages = client.end()
    assert sorted(each["channel"] for each in of_type(cleared, messages)) == [0, 1]
    assert dones(messages) == []
    assert messages[-1]["dropped_ms"] == sum(each["dropped_ms"] for each in of_type(cleared, messages)) > 0


def test_a_silent_channel_says_nothing(server: Server) -> None:
    with session(server, **STEREO, events="all") as client:
        client.talk(interleaved([silence(3600), part(FIRST_MS)]))
        messages = client.end()
    assert {each["channel"] for each in messages if "channel" in each} == {1}
    assert len(dones(messages)) == 1


def test_a_client_that_leaves_has_both_utterances_transcribed(server: Server) -> None:
    name = 'stt_finals_total{reason="disconnect"}'

    def count() -> float:
        try:
            return server.metric(name)
        except KeyError:
            return 0.0

    before = count()
    with session(server, **STEREO) as client:
        client.talk(BEGUN)
        client.say("marker", id="read")
    wait_until(lambda: count() == before + 2)


def test_an_incomplete_frame_is_an_error_and_both_finals_come(server: Server) -> None:
    with session(server, **STEREO) as client:
        client.talk(BEGUN + b"abc")
        messages = client.end()
    assert [each["error"]["code"] for each in errors(messages)] == ["invalid_audio"]
    assert "3 bytes" in errors(messages)[0]["message"]
    assert sorted(each["channel"] for each in dones(messages)) == [0, 1]


@pytest.mark.parametrize("channels", ["0", "9", "x", None])
def test_a_bad_number_of_channels_closes_with_its_name(server: Server, channels: str | None) -> None:
    asked = {"multichannel": "true"} | ({} if channels is None else {"channels": channels})
    with session(server, **asked) as client:
        (error,) = client.hear_until_closed()
    assert (error["error"]["code"], error["error"]["param"]) == ("invalid_value", "session.channels")
    assert client.close_code == 4000


def test_parameter_with_two_values_closes_with_its_name(server: Server) -> None:
    with Client(f"{server.ws}?channels=2&channels=2&channels=3") as client:
        (error,) = client.hear_until_closed()
    assert (error["error"]["code"], error["error"]["param"]) == ("invalid_value", "channels")
    assert client.close_code == 4000


def test_one_channel_may_be_kept_apart(server: Server) -> None:
    with session(server, multichannel="1", channels="1", diarize="true") as client:
        client.talk(part(FIRST_MS))
        (final,) = dones(client.end())
    assert (final["channel"], final["speaker"]) == (0, "A")


@pytest.mark.parametrize(
    ("asked", "update", "param"),
    [
        ({}, {"multichannel": True}, "session.multichannel"),
        (STEREO, {"multichannel": False}, "session.multichannel"),
        (STEREO, {"channels": 1}, "session.channels"),
        (STEREO, {"known_speakers": [{"name": "Ann", "audio": "UklGRg=="}]}, "session.known_speakers"),
        (STEREO, {"multichannel": "yes"}, "session.multichannel"),
    ],
)
def test_channels_stay_as_the_url_says(
    server: Server, asked: dict[str, str], update: dict[str, object], param: str
) -> None:
    with session(server, **asked) as client:
        client.say("session.update", session=update)
        error = client.hear()
        client.say("session.update", session={**STEREO_SESSION, "language": "en"} if asked else {})
        updated = client.hear()
        client.talk(CALL if asked else part(FIRST_MS))
        said = dones(client.end())
    assert (error["error"]["code"], error["error"]["param"]) == ("invalid_value", param)
    assert updated["type"] == "session.updated"
    assert updated["session"]["multichannel"] is bool(asked)
    assert {each.get("channel") for each in said} == ({0, 1} if asked else {None})


STEREO_SESSION = {"multichannel": True, "channels": 2}


def test_rate_and_format_may_change_but_not_the_channels(server: Server) -> None:
    with session(server, **STEREO) as client:
        client.append(bytes(8), channels=1)
        error = client.hear()
        floats = (np.frombuffer(CALL, "<i2") / 32768).astype("<f4").tobytes()
        client.talk(floats, chunk=9_999, format="float32", channels=2)
        said = dones(client.end())
    assert (error["error"]["code"], error["error"]["param"]) == ("invalid_value", "channels")
    assert "keeps 2 channels apart" in error["message"]
    assert {each["channel"] for each in said} == {0, 1}


def test_a_session_with_channels_says_that_no_journal_keeps_it(tmp_path: Path) -> None:
    with serve(free_settings(journal_dir=str(tmp_path), resume_seconds=60)) as server:
        for asked, kept in (({}, True), (STEREO, False)):
            with session(server, **asked, events="session.created") as client:
                created = client.hear()
                client.end()
            assert created["journaled"] is kept
            assert created["resume_token"]


# Over broken connections, in memory

OPTIONS = SessionOptions(guards=FEW_GUARDS)
SPEECH = [sound((True, 20_000), (False, 16_000), (True, 30_000)), sound((False, 30_000), (True, 36_000))]
CHUNK_MS = 20


def chunks(rate: int = 16_000) -> list[bytes]:
    pcm = interleaved([(each * 32767).astype("<i2").tobytes() for each in SPEECH])
    size = 4 * rate * CHUNK_MS // 1000
    return [pcm[start : start + size] for start in range(0, len(pcm), size)]


def outcome(messages: Sequence[Message]) -> list[tuple[object, ...]]:
    """Return the finals of each channel, in its order."""
    said = dones(list(messages))
    return [
        (channel, each["item_id"], each["start_ms"], each["end_ms"], each["transcript"], each["reason"])
        for channel in (0, 1)
        for each in of_channel(channel, said)
    ]


async def played(cuts: Sequence[int]) -> list[Message]:
    """Return the messages of a session whose connection breaks after so many chunks, without greetings."""
    config = SessionConfig(OPTIONS).begun({"events": "all", "include_audio": False, **STEREO_SESSION})
    heard: list[Message] = []
    async with running_models() as models:
        with MultichannelStream(models, config.options, "5f1c", 2) as stream:
            protocol = NativeProtocol("5f1c", stream, config, {}, token="secret")
            live = ClientSession("5f1c", stream, protocol, Metrics(), resume_seconds=3600, log_bytes=1 << 24)
            line, at = Line(), 0
            running = asyncio.create_task(live.run(await socket_of(line)))
            back = running
            for cut in cuts:
                for chunk in chunks()[at:cut]:
                    line.says(chunk)
                line.says(b"\x01\x02\x03")  # a frame that is cut short
                line.leaves()
                await line.hears("session.created" if back is running else "session.resumed")
                heard += line.heard
                line = Line()
                seen = max(each["seq"] for each in heard)
                back = asyncio.create_task(live.resume(await socket_of(line), seen))
                at = (await line.hears("session.resumed"))["received_ms"] // CHUNK_MS
            for chunk in chunks()[at:]:
                line.says(chunk)
            line.says(json.dumps({"type": "end_of_stream"}))
            await running
            await back
            heard += line.heard
    return [each for each in heard if each["type"] != "session.resumed"]


async def socket_of(line: Line) -> BoundedWebSocket:
    return BoundedWebSocket(await line.accepted(), max_message_bytes=1 << 20, send_timeout=3600)


async def test_a_resumed_session_says_all_that_an_unbroken_one_says() -> None:
    whole = await played([])
    assert len(outcome(whole)) == 3
    for cuts in ([10], [40, 90], [90, 90, 150]):
        broken = await played(cuts)
        assert outcome(broken) == outcome(whole)
        assert [each["seq"] for each in broken] == list(range(1, len(broken) + 1))
        assert broken[-1]["received_ms"] == whole[-1]["received_ms"]


async def test_a_stop_of_the_server_sends_the_finals_of_all_channels() -> None:
    config = SessionConfig(OPTIONS).begun({"events": "all", "include_audio": False, **STEREO_SESSION})
    line = Line()
    async with running_models() as models:
        with MultichannelStream(models, config.options, "5f1c", 2) as stream:
            protocol = NativeProtocol("5f1c", stream, config, {}, token="secret")
            live = ClientSession("5f1c", stream, protocol, Metrics(), resume_seconds=3600, log_bytes=1 << 24)
            running = asyncio.create_task(live.run(await socket_of(line)))
            pcm = (sound((True, 16_000)) * 32767).astype("<i2").tobytes()
            line.says(interleaved([pcm, pcm]))
            for _ in range(2):
                await line.hears("input_audio_buffer.speech_started")
            live.stop()
            await running
    assert sorted(each["channel"] for each in dones(line.heard)) == [0, 1]
    assert line.close == (1012, "server_restarting")


def test_socket_closes_in_order_after_a_protocol_error(server: Server) -> None:
    with session(server, **STEREO) as client:
        client.socket.send("{")
        assert client.hear()["error"]["code"] == "invalid_json"
        client.talk(CALL)
        assert {each["channel"] for each in dones(client.end())} == {0, 1}
    with pytest.raises(ConnectionClosed):
        client.socket.recv()
