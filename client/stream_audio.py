"""Send audio to a stream and pass its events on until the stream has ended."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from client.errors import ConnectionLost
from client.events import Event
from client.stream import Stream


async def stream_audio(stream: Stream, chunks: AsyncIterator[bytes], show: Callable[[Event], None]) -> None:
    """Send the chunks and the end of the stream; call `show` with each event. Raises SttClientError."""
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_send_all(stream, chunks))
            async for event in stream:
                show(event)
    except ExceptionGroup as group:
        raise group.exceptions[0] from group


async def _send_all(stream: Stream, chunks: AsyncIterator[bytes]) -> None:
    # The iteration reports a lost connection, after the error with which the server may have closed it.
    with suppress(ConnectionLost):
        async for chunk in chunks:
            await stream.send(chunk)
        await stream.end()


async def take_until(stop: asyncio.Event, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the chunks that come before `stop` is set."""
    async for chunk in chunks:
        if stop.is_set():
            return
        yield chunk
