"""A stream survives broken connections."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client import (
    Acknowledged,
    BacklogFull,
    ConnectionInterrupted,
    ConnectionLost,
    Created,
    Error,
    Event,
    Final,
    Marker,
    ReconnectPolicy,
    Resumed,
    SessionClosed,
    Stream,
    Updated,
    connect,
)
from client.pacing import at_once
from client.stream_audio import stream_audio
from tests.client.fake_server import StandIn, silence, standin, tone
from tests.client.proxy import proxy
from tests.examples import examples
from tests.scripted import NAME as SCRIPTED
from tests.server.live_server import free_settings, serve, spoken
from tests.waiting import until

SOON = ReconnectPolicy(first_delay_seconds=0.001, max_delay_seconds=0.01)
UTTERANCE = tone(600) + silence(400)
HANDSHAKE = 2000  # bytes that a connection needs at least to begin

Step = int | str


async def events_of(stream: Stream) -> list[Event]:
    return [event async for event in stream]


async def next_of(stream: Stream, kind: type[Event]) -> Event:
    """Return the next event of a type and skip others."""
    while not isinstance(event := await anext(stream), kind):
        pass
    return event


def sound_of(standin: StandIn) -> bytes:
    return b"".join(m for m in standin.sessions[-1].received if isinstance(m, bytes))


def markers_of(standin: StandIn) -> list[object]:
    return [m for m in standin.received if isinstance(m, dict) and m["type"] == "marker"]


async def test_disconnect_during_an_utterance_is_hidden() -> None:
    async with (
        standin("one two three") as server,
        proxy(server.url) as line,
        connect(line.url, events=False, resume=SOON) as stream,
    ):
        await stream.send(tone(300))
        await stream.mark("here")
        await until(lambda: markers_of(server))
        line.cut()
        await stream.send(tone(300) + silence(400))
        await stream.end()
        events = await events_of(stream)
    assert len(markers_of(server)) == 2  # nobody could know that the first had arrived
    assert [type(event) for event in events] == [Updated, Final, Marker]
    assert [(e.text, e.start_ms, e.end_ms) for e in events if isinstance(e, Final)] == [
        ("one two three", 0, 600)
    ]
    assert sound_of(server) == UTTERANCE
    assert line.cuts == 1


async def test_seen_events_are_not_repeated() -> None:
    async with standin() as server, proxy(server.url) as line, connect(line.url, resume=SOON) as stream:
        await stream.send(UTTERANCE)
        await next_of(stream, Final)
        server.sessions[0].repeats = True
        line.cut()
        await stream.end()
        told = [type(event) for event in await events_of(stream)]
    assert [kind for kind in told if kind is not Acknowledged] == [
        ConnectionInterrupted,
        Resumed,
        SessionClosed,
    ]


async def test_interruption_and_resume_are_events_if_requested() -> None:
    async with standin() as server, proxy(server.url) as line, connect(line.url, resume=SOON) as stream:
        await stream.send(silence(700))
        await next_of(stream, Acknowledged)
        line.cut()
        assert await next_of(stream, ConnectionInterrupted) == ConnectionInterrupted(1006, "")
        assert await next_of(stream, Resumed) == Resumed("sess_1", 700, 0)


async def test_unknown_session_is_a_lost_connection() -> None:
    async with standin() as server, proxy(server.url) as line, connect(line.url, resume=SOON) as stream:
        await next_of(stream, Created)
        server.forget()
        line.cut()
        error = await next_of(stream, Error)
        with pytest.raises(ConnectionLost) as lost:
            await anext(stream)
        with pytest.raises(ConnectionLost):
            await stream.send(silence(20))
    assert isinstance(error, Error)
    assert error.code == "resume_unknown"
    assert (lost.value.code, lost.value.reason) == (4000, "resume_unknown")


async def test_reconnecting_ends_after_its_time_limit() -> None:
    brief = ReconnectPolicy(give_up_seconds=0.1, first_delay_seconds=0.001, max_delay_seconds=0.01)
    async with standin() as server, proxy(server.url) as line, connect(line.url, resume=brief) as stream:
        await next_of(stream, Created)
        line.refuses = True
        line.cut()
        assert isinstance(await next_of(stream, ConnectionInterrupted), ConnectionInterrupted)
        with pytest.raises(ConnectionLost) as lost:
            await anext(stream)
    assert lost.value.code == 1006


async def test_audio_is_buffered_while_disconnected_up_to_a_limit() -> None:
    small = ReconnectPolicy(
        give_up_seconds=0.2, first_delay_seconds=0.001, max_delay_seconds=0.01, backlog_bytes=64_000
    )
    async with standin() as server, proxy(server.url) as line, connect(line.url, resume=small) as stream:
        await next_of(stream, Created)
        line.refuses = True
        line.cut()
        await next_of(stream, ConnectionInterrupted)
        for _ in range(20):
            await stream.send(silence(100))
        with pytest.raises(ConnectionLost):
            await stream.send(silence(100))


async def test_blocked_send_continues_after_a_reconnect() -> None:
    small = ReconnectPolicy(first_delay_seconds=0.001, max_delay_seconds=0.01, backlog_bytes=64_000)
    async with standin() as server, proxy(server.url) as line, connect(line.url, resume=small) as stream:
        await next_of(stream, Created)
        line.refuses = True
        line.cut()
        await next_of(stream, ConnectionInterrupted)
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(stream.send(silence(6000)))
            tasks.create_task(events_of(stream))
            await asyncio.sleep(0)  # it sends as much as there is capacity for
            assert not sending.done()
            line.refuses = False
            await sending
            await stream.end()
    assert sound_of(server) == silence(6000)


async def test_server_without_acknowledgements_fills_the_buffer() -> None:
    small = ReconnectPolicy(give_up_seconds=0.05, backlog_bytes=3200)
    async with standin() as server, connect(server.url, resume=small) as stream:
        await stream.send(silence(100))  # too little for an acknowledgement
        with pytest.raises(BacklogFull):
            await stream.send(silence(100))


async def test_disconnect_before_the_first_message_starts_again() -> None:
    async with (
        standin("again") as server,
        connect(server.url.replace("/ws/stt", "/ws/stumbling"), resume=SOON) as stream,
    ):
        await stream.send(UTTERANCE)
        await stream.end()
        events = await events_of(stream)
    assert [type(event) for event in events[:3]] == [ConnectionInterrupted, Created, Updated]
    assert [event.text for event in events if isinstance(event, Final)] == ["again"]
    assert sound_of(server) == UTTERANCE


async def test_retry_after_of_a_refusal_is_respected() -> None:
    async with standin() as server, proxy(server.url) as line, connect(line.url, resume=SOON) as stream:
        await next_of(stream, Created)
        server.refusals = [(503, "0"), (429, "1"), (503, "Wed, 21 Oct 2026 07:28:00 GMT")]
        line.cut()
        await next_of(stream, Resumed)
        assert server.refusals == []
        assert server.when[2] - server.when[1] >= 1
        await stream.end()
        await next_of(stream, SessionClosed)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_permanent_refusal_is_not_retried(status: int) -> None:
    async with standin() as server, proxy(server.url) as line, connect(line.url, resume=SOON) as stream:
        await next_of(stream, Created)
        server.refusals = [(status, "")]
        line.cut()
        with pytest.raises(ConnectionLost, match=f"HTTP {status}"):
            await next_of(stream, SessionClosed)
        assert len(server.when) == 1


async def test_without_resume_a_disconnect_is_final() -> None:
    async with standin() as server, proxy(server.url) as line, connect(line.url, resume=None) as stream:
        await next_of(stream, Created)
        line.cut()
        with pytest.raises(ConnectionLost):
            await next_of(stream, SessionClosed)


async def test_leaving_the_block_sends_everything_and_closes() -> None:
    async with standin() as server:
        async with connect(server.url) as stream:
            await stream.send(silence(100))
        assert sound_of(server) == silence(100)
        assert server.sessions[0].goodbye == 1000


LOUD_AND_QUIET = tone(500) + silence(500)
STEPS = st.lists(
    st.integers(1, 12_000) | st.sampled_from(["commit", "clear", "mark", "update", "bad update"]),
    min_size=1,
    max_size=20,
)


async def perform(stream: Stream, steps: list[Step]) -> None:
    """Send audio in chunks of so many bytes, and commands between them; whole milliseconds in all."""
    place = 0
    sizes = sum(step for step in steps if isinstance(step, int))
    for number, step in enumerate([*steps, -sizes % 32]):
        match step:
            case int():
                start = place % 32_000
                await stream.send((LOUD_AND_QUIET * 2)[start : start + step])
                place += step
            case "commit":
                await stream.commit()
            case "clear":  # of two at one position, it is unknown which one is answered
                await stream.send(silence(20))
                await stream.clear()
            case "mark":
                await stream.mark(f"m{number % 3}")
            case "update":
                await stream.update(prompt=f"p{number}")
            case _:
                await stream.update(vad="bad")
    await stream.end()


async def run_of(url: str, steps: list[Step]) -> list[Event]:
    """Return what the program receives for its audio and its commands."""
    async with asyncio.timeout(20), connect(url, resume=SOON) as stream, asyncio.TaskGroup() as tasks:
        told = tasks.create_task(events_of(stream))
        await perform(stream, steps)
    events = [
        event for event in told.result() if not isinstance(event, ConnectionInterrupted | Resumed | Created)
    ]
    # A command that was sent twice may have had two answers.
    return [replace(event, seq=0) if isinstance(event, Final) else event for event in events]


async def check_cuts(steps: list[Step], cuts: list[int]) -> None:
    async with standin("one two three", "four five") as whole:
        expected = await run_of(whole.url, steps)
    async with (
        standin("one two three", "four five") as server,
        proxy(server.url, [HANDSHAKE + cuts[0], *cuts[1:]]) as line,
    ):
        told = await run_of(line.url, steps)
    assert sound_of(server) == sound_of(whole)
    assert told == expected


@examples(20)
@given(STEPS, st.lists(st.integers(0, 15_000), min_size=1, max_size=6))
def test_disconnects_change_neither_input_nor_events(steps: list[Step], cuts: list[int]) -> None:
    asyncio.run(check_cuts(steps, cuts))


@pytest.mark.slow
async def test_real_server_gets_the_same_audio_over_disconnects() -> None:
    pcm = spoken()
    chunks = [pcm[start : start + 1600] for start in range(0, len(pcm), 1600)]
    kinds = ["input_audio_buffer.speech_started", "session.closed", "session.resumed"]
    events: list[Event] = []
    with serve(free_settings(asr_model=SCRIPTED, resume_seconds=10)) as server:
        async with connect(server.ws, events=kinds, words=True) as stream:
            await stream_audio(stream, at_once(chunks), events.append)
        whole = [event for event in events if isinstance(event, Final | SessionClosed)]
        events.clear()
        after = [60_000, *(4000 + 7919 * n % 50_000 for n in range(100))]
        async with proxy(server.ws, after) as line, connect(line.url, events=kinds, words=True) as stream:
            await stream_audio(stream, at_once(chunks), events.append)
    assert len(whole) > 3
    assert sum(isinstance(event, Resumed) for event in events) > 5
    told = [event for event in events if isinstance(event, Final | SessionClosed)]
    assert [nameless(event) for event in told] == [nameless(event) for event in whole]


def nameless(event: Final | SessionClosed) -> Final | SessionClosed:
    """Return the events without names of the session and fields that depend on time."""
    return replace(event, item_id="", seq=0) if isinstance(event, Final) else event
