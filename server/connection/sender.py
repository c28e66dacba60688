"""Teller: tells a session's client; what it says is numbered, kept for who comes back, and only then sent."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import orjson

from journal.recorder import NullRecorder
from server.connection.message_log import MessageLog
from server.connection.protocol import Message, WireProtocol

Record = Callable[[Sequence[Message]], None]
Send = Callable[[bytes], Awaitable[None]]  # to the socket of the moment, if there is one


class MessageSender:
    """One session's, over all its sockets.

    telling: held while messages go out, in the order of their numbers
    stopped: another server goes on; it tells what was cut short here, so nothing may be told past that
    """

    def __init__(self, dialect: WireProtocol, journal: MessageLog, recording: NullRecorder) -> None:
        self.telling = asyncio.Lock()
        self.stopped = False
        self._dialect = dialect
        self._journal = journal
        self._recording = recording

    async def tell(self, messages: Sequence[Message], send: Send, record: Record | None = None) -> None:
        """record: keeps what is told, before it is told; may keep something where there is nothing to tell"""
        async with self.telling:
            if self.stopped:
                return
            texts = [self._number(message) for message in messages]
            (record or self._recording.complain)(messages)
            if not messages:
                return
            await self._recording.safe()
            for text in texts:
                await send(text)

    async def acknowledge(self, send: Send) -> None:
        """For ever: from time to time what came in is written, and the client hears so."""
        async for _ in flush_ticks():
            if messages := self._dialect.acknowledge():
                await self.tell(messages, send)
            else:
                self._recording.write()

    def _number(self, message: Message) -> bytes:
        self._dialect.stamp(message, self._journal.number + 1)
        text = orjson.dumps(message)
        self._journal.append(text)
        return text


BEAT_SECONDS: Final = 0.9  # so that no two are more than a second apart, if a loop is a little late
SHARED_SECONDS: Final = 0.1  # beats fall on its multiples


def next_flush_tick(now: float) -> float:
    """Seconds, on the same clock: later than BEAT_SECONDS - SHARED_SECONDS, and never than BEAT_SECONDS."""
    return math.floor(now / SHARED_SECONDS) * SHARED_SECONDS + BEAT_SECONDS


async def flush_ticks() -> AsyncIterator[None]:
    """For ever."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(next_flush_tick(loop.time()) - loop.time())
        yield
