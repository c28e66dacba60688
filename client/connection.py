"""Line: what is to be sent goes out, and events come in, over one connection after another."""

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

import websockets
from websockets.asyncio.client import ClientConnection

from client.errors import BacklogFull, ConnectFailed, ConnectionLost, ProtocolError
from client.event_queue import EventQueue
from client.events import ConnectionInterrupted, Created, Error, Event, Resumed, parse_numbered
from client.reconnect_policy import ReconnectPolicy, is_worth_another_attempt, is_worth_resuming, may_do_later
from client.reply_dedup import ReplyDedup
from client.send_buffer import Item, SendBuffer, SentCommand

Dial = Callable[[Mapping[str, str]], Awaitable[ClientConnection]]  # with parameters for the URL

ATTEMPT_SECONDS: Final = 10.0  # for a handshake and the first message
UNSENT_BYTES: Final = 1 << 16  # held where nobody can come back
NORMAL: Final = 1000
ABNORMAL: Final = 1006


class Connection:
    """One session. `run` is a task of its own; everything else is called by the program.

    dial: opens a connection, or raises ConnectFailed
    resume: None for a session that ends with its connection
    wants: which events the program is to see
    binary: raw frames rather than base64 in JSON
    """

    def __init__(
        self, dial: Dial, resume: ReconnectPolicy | None, wants: Callable[[Event], bool], *, binary: bool
    ) -> None:
        self.inbox = EventQueue()
        self.replies = ReplyDedup()
        self.lost: ConnectionLost | None = None  # once it is over
        self._dial = dial
        self._resume = resume
        self._wants = wants
        self._binary = binary
        self._backlog = SendBuffer(resume.backlog_bytes if resume else UNSENT_BYTES)
        self._backlog.keeps = resume is not None
        self._token: str | None = None
        self._seen = 0  # the number of the newest message
        self._up = False
        self._ending = False
        self._news = asyncio.Event()  # there is something to send
        self._carried = asyncio.Event()  # it has gone out, or cannot for now
        self._room = asyncio.Event()

    # from the program

    @asynccontextmanager
    async def room(self) -> AsyncIterator[None]:
        """What is added in this block has room; at its end it is on its way, or the line is cut.

        Raises ConnectionLost, BacklogFull.
        """
        while self.lost is None and not self._backlog.has_room:
            await self._news_of_room()
        self._check()
        yield
        await self._carried.wait()
        self._check()

    async def _news_of_room(self) -> None:
        self._room.clear()
        try:
            async with asyncio.timeout(self._resume.give_up_seconds if self._resume else None):
                await self._room.wait()
        except TimeoutError:
            if self._up:  # a line that is cut gives up by itself
                problem = f"{self._backlog.size} bytes are unacknowledged, and no more arrive"
                raise BacklogFull(problem) from None

    def _check(self) -> None:
        if self.lost is not None:
            raise ConnectionLost(self.lost.code, self.lost.reason)

    def add(self, item: Item) -> None:
        if isinstance(item, SentCommand):
            self._ending |= item.type == "end_of_stream"
        self._backlog.add(item)
        self._news.set()
        if self._up:
            self._carried.clear()

    # the task

    async def run(self, socket: ClientConnection) -> None:
        """Until the stream has ended in order, or is lost; or until it is cancelled."""
        lost, resumed = ConnectionLost(NORMAL, ""), None
        try:
            while True:
                try:
                    if resumed is not None:
                        await self._tell(resumed)
                    lost = await self._converse(socket, resumed)
                finally:
                    await socket.close()  # with 1000, if it is open: nobody will come back
                if self._resume is None or not self._backlog.keeps or not is_worth_resuming(lost):
                    break
                await self._tell(ConnectionInterrupted(lost.code, lost.reason))
                socket, resumed = await self._come_back(self._resume, lost)
        except ConnectionLost as error:
            lost = error
        except ProtocolError as error:
            await self.inbox.put(error)
        finally:
            self._end(lost)

    def _end(self, lost: ConnectionLost) -> None:
        self.lost = lost
        self._carried.set()
        self._room.set()
        self.inbox.close(None if lost.code == NORMAL and self._ending else lost)

    async def _converse(self, socket: ClientConnection, resumed: Resumed | None) -> ConnectionLost:
        """Until the connection is closed. Raises ProtocolError where the stream cannot go on."""
        try:
            # First what was missed: it may hold answers to what would otherwise be sent again.
            for _ in range(resumed.replayed if resumed else 0):
                await self._hear(socket)
        except websockets.ConnectionClosed as closed:
            return _lost(closed)
        if resumed is None:
            self._backlog.rewind(0)
        else:
            self._backlog.rewind(resumed.received_ms, resumed.received_messages)
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(self._write(socket), name="writer")
            lost = await self._listen(socket)
            writer.cancel()
        return lost

    async def _listen(self, socket: ClientConnection) -> ConnectionLost:
        self._up = True
        try:
            while True:
                await self._hear(socket)
        except websockets.ConnectionClosed as closed:
            return _lost(closed)
        finally:
            self._up = False
            self._carried.set()

    async def _write(self, socket: ClientConnection) -> None:
        with suppress(websockets.ConnectionClosed):  # the listener says so
            while True:
                while (item := self._backlog.next()) is not None:
                    await socket.send(self._message(item))
                    self._room.set()
                self._carried.set()
                self._news.clear()
                await self._news.wait()

    def _message(self, item: Item) -> str | bytes:
        if isinstance(item, SentCommand):
            return item.text
        if self._binary:
            return item.sound
        return json.dumps(
            {
                "type": "input_audio_buffer.append",
                "audio": base64.b64encode(item.sound).decode(),
                "format": item.encoding.format,
                "sample_rate": item.encoding.sample_rate,
            }
        )

    # what comes in

    async def _hear(self, socket: ClientConnection) -> None:
        """The next message. Raises websockets.ConnectionClosed."""
        text = await socket.recv()
        try:
            await self._take(*parse_numbered(text))
        except ProtocolError as error:
            await self.inbox.put(error)

    async def _take(self, number: int, event: Event) -> None:
        if 0 < number <= self._seen:
            return
        self._learn(event)
        self._seen = max(self._seen, number)
        due = self.replies.due(event)
        if due is not None:
            await self._tell(due)

    def _learn(self, event: Event) -> None:
        if self._seen == 0 and self._token is None:  # the first message, or that of a refusal
            self._token = event.resume_token if isinstance(event, Created) else None
            if self._token is None:
                self._backlog.keep_nothing(UNSENT_BYTES)
        self._backlog.hear(event)
        self._room.set()

    async def _tell(self, event: Event) -> None:
        if self._wants(event):
            await self.inbox.put(event)

    # after a cut

    async def _come_back(
        self, resume: ReconnectPolicy, cut: ConnectionLost
    ) -> tuple[ClientConnection, Resumed | None]:
        """A connection to the same session. Raises ConnectionLost: a refusal's, or `cut` after so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(resume.give_up_seconds):
                after = 0.0  # that the server has told to wait; a little more, as others were told so too
                for delay in resume.delays(random.random):
                    await asyncio.sleep(after + delay)
                    try:
                        found = await self._attempt()
                    except ConnectFailed as refused:
                        if not may_do_later(refused):
                            raise ConnectionLost(ABNORMAL, f"HTTP {refused.status}") from refused
                        found, after = None, refused.retry_after or 0.0
                    if found is not None:
                        return found
        raise cut

    async def _attempt(self) -> tuple[ClientConnection, Resumed | None] | None:
        """None where another attempt is worth it. Raises ConnectionLost, ConnectFailed, ProtocolError."""
        # A cut before the first message leaves nothing to come back to: the stream begins anew.
        query = {"resume": self._token, "ack": str(self._seen)} if self._token else {}
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS), AsyncExitStack() as failed:
                socket = await self._dial(query)
                failed.callback(socket.transport.abort)  # an orderly close would end the session
                resumed = await self._welcome(socket) if self._token else None
                if self._token and resumed is None:
                    return None
                failed.pop_all()
                return socket, resumed
        except TimeoutError:
            return None

    async def _welcome(self, socket: ClientConnection) -> Resumed | None:
        """None where another attempt is worth it. Raises ConnectionLost, ProtocolError."""
        complaint: Error | None = None
        try:
            while True:
                match parse_numbered(await socket.recv())[1]:
                    case Resumed() as resumed:
                        return resumed
                    case Error() as error:
                        complaint = error
                    case event:
                        raise ProtocolError(f"session.resumed was due, and {event} came")
        except websockets.ConnectionClosed as closed:
            lost = _lost(closed)
            if is_worth_another_attempt(lost):
                return None
            if complaint is not None:
                await self.inbox.put(complaint)
            raise lost from closed


def _lost(closed: websockets.ConnectionClosed) -> ConnectionLost:
    if closed.rcvd is None:
        return ConnectionLost(ABNORMAL, "")
    return ConnectionLost(closed.rcvd.code, closed.rcvd.reason)
