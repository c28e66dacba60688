"""Provide a proxy between client and server that breaks connections."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

PIECE = 4096


class Cut(Exception):
    """Break the connection here."""


class Proxy:
    """url: the server's, through the proxy; cuts: how often the line was cut.

    A connection is cut after as many bytes, both ways together, as is its turn in `after`; None is for never,
    and so are those behind the last one. While it `refuses`, each is cut at once.
    """

    def __init__(self, url: str, after: Iterable[int | None]) -> None:
        self.url = url
        self.cuts = 0
        self.refuses = False
        self._there = urlsplit(url)
        self._after = iter(after)
        self._open: set[asyncio.StreamWriter] = set()

    def listen_at(self, port: int) -> None:
        self.url = urlunsplit(self._there._replace(netloc=f"127.0.0.1:{port}"))

    def cut(self) -> None:
        """Break all open connections."""
        self.cuts += bool(self._open)
        for writer in self._open:
            writer.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until it is broken or both sides have closed it."""
        budget = Budget(0 if self.refuses else next(self._after, None))
        try:
            there_reader, there_writer = await asyncio.open_connection(self._there.hostname, self._there.port)
        except ConnectionRefusedError:  # the server is gone
            writer.transport.abort()
            return
        both = {writer, there_writer}
        self._open |= both
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(_pump(reader, there_writer, budget))
                pumps.create_task(_pump(there_reader, writer, budget))
        except* Cut:
            self.cuts += 1
        except* OSError:
            pass  # broken by `cut`, or by one of the two
        finally:
            self._open -= both
            for one in both:
                one.transport.abort()


class Budget:
    """Hold the bytes that a connection may still carry; None for any number."""

    def __init__(self, left: int | None) -> None:
        self._left = left

    def spend(self, data: bytes) -> bytes:
        """Return the part of the data that is forwarded."""
        if self._left is None:
            return data
        through = data[: self._left]
        self._left -= len(through)
        return through


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, budget: Budget) -> None:
    while data := await source.read(PIECE):
        through = budget.spend(data)
        if sink.is_closing():  # the other side is gone already
            return
        sink.write(through)
        await sink.drain()
        if len(through) < len(data):
            raise Cut
    sink.close()


@asynccontextmanager
async def proxy(url: str, after: Iterable[int | None] = ()) -> AsyncIterator[Proxy]:
    """Run a proxy for the server at an address."""
    line = Proxy(url, after)
    listening = await asyncio.start_server(line.carry, "127.0.0.1", 0)
    line.listen_at(listening.sockets[0].getsockname()[1])
    try:
        yield line
    finally:
        listening.close()
        line.cut()
