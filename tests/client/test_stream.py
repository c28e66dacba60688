"""Stream against a server that speaks the protocol."""

import socket
from itertools import pairwise

import pytest

from client import (
    Acknowledged,
    Cleared,
    ConnectFailed,
    ConnectionLost,
    Created,
    Error,
    Event,
    Final,
    Marker,
    Partial,
    SessionClosed,
    SpeechStarted,
    SpeechStopped,
    Stream,
    Updated,
    connect,
)
from tests.client.fake_server import silence, standin, tone

UTTERANCE = tone(1000) + silence(500)


async def events_of(stream: Stream) -> list[Event]:
    return [event async for event in stream]


async def test_an_utterance_comes_back_as_events_in_the_order_of_the_protocol() -> None:
    async with standin("one two three four") as server, connect(server.url) as stream:
        await stream.send(UTTERANCE)
        await stream.end()
        kinds = [type(event) for event in await events_of(stream) if not isinstance(event, Acknowledged)]
    assert kinds[:3] == [Created, Updated, SpeechStarted]
    assert kinds[3:-3] == [Partial] * 5
    assert kinds[-3:] == [SpeechStopped, Final, SessionClosed]


async def test_a_final_holds_its_text_and_times() -> None:
    async with standin("good morning") as server, connect(server.url, events=False) as stream:
        await stream.send(silence(200) + UTTERANCE)
        await stream.end()
        _, final = await events_of(stream)
    assert isinstance(final, Final)
    assert (final.text, final.start_ms, final.end_ms, final.reason) == ("good morning", 200, 1200, "silence")
    assert final.audio is None


async def test_the_stable_part_of_a_partial_begins_the_next_one() -> None:
    async with standin("one two three four") as server, connect(server.url) as stream:
        await stream.send(UTTERANCE)
        await stream.end()
        partials = [event for event in await events_of(stream) if isinstance(event, Partial)]
    assert all(later.text.startswith(earlier.stable) for earlier, later in pairwise(partials))
    assert all(partial.stable + partial.tail == partial.text for partial in partials)


async def test_the_sound_of_an_utterance_comes_when_asked_for() -> None:
    async with standin() as server, connect(server.url, events=False, include_audio=True) as stream:
        await stream.send(UTTERANCE)
        await stream.end()
        _, final = await events_of(stream)
    assert isinstance(final, Final)
    assert final.audio == b"\x01\x02"


@pytest.mark.parametrize("binary", [True, False])
async def test_long_sound_is_sent_in_pieces_below_the_servers_limit(binary: bool) -> None:
    async with standin() as server, connect(server.url, events=False, binary=binary) as stream:
        await stream.send(silence(10_000))
        await stream.end()
        await events_of(stream)
        sounds = [m if isinstance(m, bytes) else m.get("audio", "") for m in server.received]
    assert sum(1 for sound in sounds if sound) == 5
    assert max(map(len, sounds)) < 1 << 17


async def test_an_append_in_json_names_its_format_and_rate() -> None:
    async with (
        standin() as server,
        connect(server.url, binary=False, format="float32", sample_rate=48_000) as stream,
    ):
        await stream.send(bytes(20 * 48 * 4))
        await stream.update(sample_rate=8_000)
        await stream.send(bytes(20 * 8 * 4))
        await stream.end()
        await events_of(stream)
    appends = [m for m in server.received if m["type"] == "input_audio_buffer.append"]
    assert [(m["format"], m["sample_rate"]) for m in appends] == [("float32", 48_000), ("float32", 8_000)]


async def test_settings_go_out_before_any_sound() -> None:
    async with (
        standin() as server,
        connect(server.url, language="de", vad={"silence_ms": 500}, words=True, events=["marker"]) as stream,
    ):
        await stream.send(bytes(32))
        await stream.end()
        assert [type(event) for event in await events_of(stream)] == [Updated]
    session = server.received[0]["session"]
    assert session == {
        "language": "de",
        "vad": {"silence_ms": 500},
        "words": True,
        "include_audio": False,
        "format": "pcm16",
        "sample_rate": 16_000,
    }


async def test_commit_ends_the_utterance_and_clear_drops_it() -> None:
    async with standin("first", "second") as server, connect(server.url) as stream:
        await stream.send(tone(400))
        await stream.commit()
        await stream.send(tone(400))
        await stream.clear()
        await stream.end()
        events = await events_of(stream)
    assert [(e.text, e.reason) for e in events if isinstance(e, Final)] == [("first", "commit")]
    assert [e for e in events if isinstance(e, Cleared)] == [Cleared(400, 400)]
    assert [e.dropped_ms for e in events if isinstance(e, SessionClosed)] == [400]


async def test_a_marker_comes_back() -> None:
    async with standin() as server, connect(server.url) as stream:
        await stream.mark("here")
        await stream.end()
        assert Marker("here") in await events_of(stream)


async def test_an_error_is_an_event_and_the_stream_goes_on() -> None:
    async with standin("still here") as server, connect(server.url, events=False) as stream:
        await stream.update(vad="bad")
        await stream.send(UTTERANCE)
        await stream.end()
        _, error, final = await events_of(stream)
    assert isinstance(error, Error)
    assert error.code == "invalid_value"
    assert isinstance(final, Final)


async def test_abnormal_close_is_a_lost_connection_with_its_code() -> None:
    async with standin() as server:
        loading = server.url.replace("/ws/stt", "/ws/loading")
        async with connect(loading) as stream:
            assert isinstance(await anext(stream), Error)
            with pytest.raises(ConnectionLost) as lost:
                await anext(stream)
            with pytest.raises(ConnectionLost):
                await stream.send(b"\0\0")
    assert (lost.value.code, lost.value.reason) == (1013, "server_error.models_not_ready")


async def test_unrequested_end_is_a_lost_connection() -> None:
    async with standin() as server, connect(server.url.replace("/ws/stt", "/ws/leaving")) as stream:
        with pytest.raises(ConnectionLost, match="1000"):
            await anext(stream)


async def test_refused_connection_is_a_failed_connect() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{free.getsockname()[1]}/ws/stt"
        with pytest.raises(ConnectFailed, match="no stream at"):
            async with connect(url):
                pass


async def test_a_query_in_the_url_is_kept() -> None:
    async with standin() as server, connect(server.url + "?language=de") as stream:
        assert isinstance(await anext(stream), Created)


async def test_refusal_has_its_retry_after() -> None:
    async with standin() as server:
        server.refusals = [(429, "7")]
        with pytest.raises(ConnectFailed, match="HTTP 429") as failed:
            async with connect(server.url):
                pass
        assert (failed.value.status, failed.value.retry_after) == (429, 7.0)


async def test_key_is_sent_in_the_handshake() -> None:
    async with standin() as server:
        for key in ("the-key-of-alice", None):
            async with connect(server.url, key=key, additional_headers={"x-trace": "1"}) as stream:
                await stream.end()
                await events_of(stream)
        assert server.authorizations == ["Bearer the-key-of-alice", None]
