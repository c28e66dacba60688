"""Test the bounded WebSocket, also with clients that do not read."""

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.connection.websocket import MAX_REASON, BoundedWebSocket, WebSocketClosed
from server.errors import ClientError
from tests.server.fakes import Line
from tests.server.live_server import Client, dones, first_sentence, free_settings, serve
from tests.server.raw_websocket import RawClient
from tests.waiting import until, wait_until

LIMIT = 100
NEVER = 3600.0  # seconds


async def socket_on(line: Line, send_timeout: float = NEVER) -> BoundedWebSocket:
    return BoundedWebSocket(await line.accepted(), max_message_bytes=LIMIT, send_timeout=send_timeout)


async def test_messages_come_in_order_until_the_client_leaves() -> None:
    line = Line()
    socket = await socket_on(line)
    for message in ("one", b"two", "", b""):
        line.says(message)
    line.leaves()
    assert [message async for message in socket.messages()] == ["one", b"two", "", b""]
    assert not socket.is_open


async def test_messages_that_were_read_ahead_come_first() -> None:
    line, ends = Line(), list[None]()
    socket = await socket_on(line)
    async with socket.reading_ahead(1 << 20, lambda: ends.append(None)):
        for number in range(2000):
            line.says(f"{number} " + LIMIT // 2 * "x")
        await until(line.is_read)
    line.says("last")
    line.leaves()
    numbers = [str(message).split()[0] async for message in socket.messages()]
    assert numbers == [*map(str, range(2000)), "last"]
    assert ends == []


async def test_only_so_much_is_read_ahead() -> None:
    line = Line()
    socket = await socket_on(line)
    async with socket.reading_ahead(5 * LIMIT, lambda: None):
        for _ in range(20):
            line.says(b"x" * LIMIT)
        await until(lambda: line.unread <= 15)
    assert line.unread == 15
    line.leaves()
    assert len([message async for message in socket.messages()]) == 20


async def test_close_during_reading_ahead_is_reported() -> None:
    line, ended = Line(), asyncio.Event()
    socket = await socket_on(line)
    async with socket.reading_ahead(LIMIT, ended.set):
        line.leaves()
        await ended.wait()
    assert not socket.is_open


async def test_long_message_is_refused_when_it_is_read_ahead() -> None:
    line, ended = Line(), asyncio.Event()
    socket = await socket_on(line)

    async def wait_for_end() -> None:
        async with socket.reading_ahead(LIMIT, ended.set):
            await ended.wait()

    line.says(b"x" * (LIMIT + 1))
    with pytest.raises(ClientError, match="may hold 100 bytes"):
        await wait_for_end()


@pytest.mark.parametrize("message", ["x" * LIMIT, b"x" * LIMIT, "ä" * (LIMIT // 2)])
async def test_a_message_may_be_as_long_as_the_limit(message: str | bytes) -> None:
    line = Line()
    line.says(message)
    async for received in (await socket_on(line)).messages():
        assert received == message
        return


@pytest.mark.parametrize("message", ["x" * (LIMIT + 1), b"x" * (LIMIT + 1), "ä" * (LIMIT // 2 + 1)])
async def test_longer_message_is_refused_by_its_bytes(message: str | bytes) -> None:
    line = Line()
    line.says(message)
    with pytest.raises(ClientError, match=r"may hold 100 bytes; this one has 10[12]\.") as refused:
        _ = [_ async for _ in (await socket_on(line)).messages()]
    assert (refused.value.code, refused.value.close) == ("message_too_large", 1009)


async def test_second_close_does_nothing() -> None:
    line = Line()
    socket = await socket_on(line)
    await socket.close(4000, "first")
    await socket.close(1000, "second")
    assert line.close == (4000, "first")


async def test_nothing_is_sent_after_the_close() -> None:
    line = Line()
    socket = await socket_on(line)
    await socket.close(1000)
    with pytest.raises(WebSocketClosed):
        await socket.send({"type": "error"})
    assert line.heard == []


async def test_nothing_is_sent_to_a_client_that_has_left() -> None:
    line = Line()
    socket = await socket_on(line)
    line.leaves()
    assert [message async for message in socket.messages()] == []
    with pytest.raises(WebSocketClosed):
        await socket.send({"type": "error"})


async def test_connection_that_breaks_during_a_send_is_closed() -> None:
    line = Line()
    socket = await socket_on(line)
    line.transport.abort()
    with pytest.raises(WebSocketClosed):
        await socket.send({"type": "error"})
    await socket.close(1000)
    assert not socket.is_open
    assert line.close is None


@given(reason=st.text(max_size=200))
async def test_close_reason_is_cut_between_characters(reason: str) -> None:
    line = Line()
    await (await socket_on(line)).close(1000, reason)
    assert line.close is not None
    told = line.close[1]
    assert reason.startswith(told)
    assert len(told.encode()) <= MAX_REASON
    if told != reason:
        assert len((told + reason[len(told)]).encode()) > MAX_REASON


async def test_unread_event_closes_with_4013() -> None:
    line = Line()
    socket = await socket_on(line, send_timeout=0.05)
    line.reads.clear()
    sending = asyncio.create_task(socket.send({"type": "error"}))
    await until(lambda: not socket.is_open)
    line.reads.set()
    with pytest.raises(WebSocketClosed):
        await sending
    assert line.heard == []
    assert line.close == (4013, "slow_consumer")


async def test_client_that_does_not_read_the_close_is_aborted() -> None:
    line = Line()
    socket = await socket_on(line, send_timeout=0.01)
    line.reads.clear()
    with pytest.raises(WebSocketClosed):
        await socket.send({"type": "error"})
    assert line.transport.aborted.is_set()
    assert line.close is None


async def test_client_is_aborted_even_if_the_close_is_cancelled() -> None:
    line = Line()
    socket = await socket_on(line, send_timeout=0.01)
    line.reads.clear()
    closing = asyncio.create_task(socket.close(1000))
    await until(lambda: not socket.is_open)
    closing.cancel()
    await line.transport.aborted.wait()


@pytest.mark.slow
def test_client_that_never_reads_does_not_affect_others() -> None:
    with (
        serve(free_settings(send_timeout_seconds=0.2)) as server,
        RawClient(f"{server.ws}?events=all") as deaf,
        Client(server.ws) as good,
    ):
        with suppress(ConnectionError):  # at last the server disconnects
            while True:
                deaf.say("marker", id="m" * 250)
        good.talk(first_sentence())
        assert len(dones(good.end())) == 1
        assert good.close_code == 1000
        wait_until(lambda: server.metric("stt_open_sessions") == 0)
        assert server.unsent_bytes() == 0


@pytest.mark.slow
def test_memory_of_unread_audio_is_bounded() -> None:
    with (
        serve(free_settings(send_timeout_seconds=1)) as server,
        RawClient(f"{server.ws}?events=all") as deaf,
    ):
        most = 0
        pcm = first_sentence()
        with suppress(ConnectionError):
            while True:
                deaf.append(pcm)
                deaf.say("input_audio_buffer.commit")
                most = max(most, server.unsent_bytes())
        assert most < (64 << 10) + 2 * len(pcm)


@pytest.mark.slow
def test_client_with_unread_last_bytes_is_aborted() -> None:
    """The bytes stay in the server's own buffer, where uvicorn's close would wait for ever."""
    with (
        serve(free_settings(send_timeout_seconds=0.2)) as server,
        RawClient(server.ws) as deaf,
        Client(server.ws) as other,
    ):
        while not server.unsent_bytes():
            for _ in range(20):
                deaf.say("marker", id="m" * 250)
            other.say("marker", id="by now the server has answered those before")
            other.hear()
        deaf.say("end_of_stream")
        other.end()
        wait_until(lambda: server.open_connections() == 0)
