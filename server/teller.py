"""Teller: tells a session's client; what it says is numbered, kept for who comes back, and only then sent."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import orjson

from journal.recorder import NullRecorder
from server.beat import beats
from server.dialect import Dialect, Message
from stream.journal import Journal

Record = Callable[[Sequence[Message]], None]
Send = Callable[[bytes], Awaitable[None]]  # to the socket of the moment, if there is one


class Teller:
    """One session's, over all its sockets.

    telling: held while messages go out, in the order of their numbers
    stopped: another server goes on; it tells what was cut short here, so nothing may be told past that
    """

    def __init__(self, dialect: Dialect, journal: Journal, recording: NullRecorder) -> None:
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
        async for _ in beats():
            if messages := self._dialect.acknowledge():
                await self.tell(messages, send)
            else:
                self._recording.write()

    def _number(self, message: Message) -> bytes:
        self._dialect.stamp(message, self._journal.number + 1)
        text = orjson.dumps(message)
        self._journal.append(text)
        return text
