"""Events that wait for the program."""

import asyncio

import pytest

from client.errors import ConnectionLost, ProtocolError
from client.event_queue import EventBuffer
from client.events import Marker


async def test_events_are_read_in_order_and_an_error_is_raised_at_its_place() -> None:
    inbox = EventBuffer()
    await inbox.put(Marker("a"))
    await inbox.put(ProtocolError("what"))
    await inbox.put(Marker("b"))
    assert await inbox.get() == Marker("a")
    with pytest.raises(ProtocolError):
        await inbox.get()
    assert await inbox.get() == Marker("b")


async def test_put_into_a_full_buffer_waits_for_the_reader() -> None:
    inbox = EventBuffer(2)
    async with asyncio.TaskGroup() as tasks:
        putting = tasks.create_task(_fill(inbox, 5))
        await asyncio.sleep(0)
        assert not putting.done()
        assert [await inbox.get() for _ in range(5)] == [Marker(str(n)) for n in range(5)]


async def _fill(inbox: EventBuffer, count: int) -> None:
    for number in range(count):
        await inbox.put(Marker(str(number)))


@pytest.mark.parametrize("lost", [None, ConnectionLost(1006, "")])
async def test_closed_buffer_is_read_to_its_end(lost: ConnectionLost | None) -> None:
    inbox = EventBuffer()
    await inbox.put(Marker("a"))
    inbox.close(lost)
    assert await inbox.get() == Marker("a")
    for _ in range(2):
        with pytest.raises(StopAsyncIteration if lost is None else ConnectionLost):
            await inbox.get()


async def test_close_wakes_the_reader() -> None:
    inbox = EventBuffer()
    waiting = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    inbox.close(ConnectionLost(1006, ""))
    with pytest.raises(ConnectionLost):
        await waiting
