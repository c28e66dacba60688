"""Play: sound into a stream, and what comes back to whoever shows it, until the stream has ended."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from client.errors import ConnectionLost
from client.events import Event
from client.stream import Stream


async def play(stream: Stream, chunks: AsyncIterator[bytes], show: Callable[[Event], None]) -> None:
    """Sends the chunks, then the end of the stream; shows every event. Raises ClientError."""
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_send_all(stream, chunks))
            async for event in stream:
                show(event)
    except ExceptionGroup as group:
        raise group.exceptions[0] from group


async def _send_all(stream: Stream, chunks: AsyncIterator[bytes]) -> None:
    # A lost connection is told by the iteration, after the error with which the server may have ended it.
    with suppress(ConnectionLost):
        async for chunk in chunks:
            await stream.send(chunk)
        await stream.end()


async def until(stop: asyncio.Event, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks that come before `stop` is set."""
    async for chunk in chunks:
        if stop.is_set():
            return
        yield chunk
