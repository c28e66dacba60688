"""Send messages and receive events of one session, over one connection after another."""

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
from client.event_queue import EventBuffer
from client.events import ConnectionInterrupted, Created, Error, Event, Resumed, parse_numbered
from client.reconnect_policy import ReconnectPolicy, is_worth_resuming, is_worth_retrying, may_retry
from client.reply_dedup import ReplyDedup
from client.send_buffer import Item, SendBuffer, SentCommand

Dial = Callable[
    [Mapping[str, str]], Awaitable[ClientConnection]
]  # The argument holds query parameters for the URL.

ATTEMPT_SECONDS: Final = 10.0  # For a handshake and the first message.
UNSENT_BYTES: Final = 1 << 16  # Limit for a session that cannot be resumed.
NORMAL: Final = 1000
ABNORMAL: Final = 1006


class Connection:
    """Keep one session connected. `run` is a separate task; the program calls everything else.

    dial: opens a connection, or raises ConnectFailed
    resume: when to reconnect; None for a session that ends with its connection
    wants: returns whether the program receives an event
    binary: whether audio is sent in binary frames, not as base64 in JSON
    channels: number of channels that are kept apart; None if they are mixed
    """

    def __init__(
        self,
        dial: Dial,
        resume: ReconnectPolicy | None,
        wants: Callable[[Event], bool],
        *,
        binary: bool,
        channels: int | None = None,
    ) -> None:
        self.events = EventBuffer()
        self.replies = ReplyDedup(channels)
        self.lost: ConnectionLost | None = None  # Set once the session is over.
        self._dial = dial
        self._resume = resume
        self._wants = wants
        self._binary = binary
        self._send_buffer = SendBuffer(resume.backlog_bytes if resume else UNSENT_BYTES)
        self._send_buffer.keeps = resume is not None
        self._token: str | None = None
        self._seen = 0  # Sequence number of the newest message.
        self._connected = False
        self._ending = False
        self._unsent = asyncio.Event()  # Set when there is something to send.
        self._flushed = asyncio.Event()  # Set when everything is sent, or cannot be sent for now.
        self._freed = asyncio.Event()

    # Called by the program

    @asynccontextmanager
    async def capacity(self) -> AsyncIterator[None]:
        """Wait for free capacity, and at the end of the block until all is sent or the connection breaks.

        Raises ConnectionLost and BacklogFull.
        """
        while self.lost is None and not self._send_buffer.has_capacity:
            await self._wait_for_capacity()
        self._check()
        yield
        await self._flushed.wait()
        self._check()

    async def _wait_for_capacity(self) -> None:
        self._freed.clear()
        try:
            async with asyncio.timeout(self._resume.give_up_seconds if self._resume else None):
                await self._freed.wait()
        except TimeoutError:
            if self._connected:  # A broken connection has its own time limit.
                problem = (
                    f"{self._send_buffer.size} bytes are unacknowledged, and the server acknowledges no more"
                )
                raise BacklogFull(problem) from None

    def _check(self) -> None:
        if self.lost is not None:
            raise ConnectionLost(self.lost.code, self.lost.reason)

    def add(self, item: Item) -> None:
        """Add audio or a command at the end of the send buffer."""
        if isinstance(item, SentCommand):
            self._ending |= item.type == "end_of_stream"
        self._send_buffer.add(item)
        self._unsent.set()
        if self._connected:
            self._flushed.clear()

    # The task

    async def run(self, socket: ClientConnection) -> None:
        """Run until the stream has ended in order or is lost, or until the task is cancelled."""
        lost, resumed = ConnectionLost(NORMAL, ""), None
        try:
            while True:
                try:
                    if resumed is not None:
                        await self._emit(resumed)
                    lost = await self._run_connection(socket, resumed)
                finally:
                    await socket.close()  # An open connection closes with 1000, which ends the session.
                if self._resume is None or not self._send_buffer.keeps or not is_worth_resuming(lost):
                    break
                await self._emit(ConnectionInterrupted(lost.code, lost.reason))
                socket, resumed = await self._reconnect(self._resume, lost)
        except ConnectionLost as error:
            lost = error
        except ProtocolError as error:
            await self.events.put(error)
        finally:
            self._end(lost)

    def _end(self, lost: ConnectionLost) -> None:
        self.lost = lost
        self._flushed.set()
        self._freed.set()
        self.events.close(None if lost.code == NORMAL and self._ending else lost)

    async def _run_connection(self, socket: ClientConnection, resumed: Resumed | None) -> ConnectionLost:
        """Send and receive until the connection is closed.

        Raises ProtocolError if the stream cannot continue.
        """
        try:
            # The missed messages come first: they may answer commands that would otherwise be sent again.
            for _ in range(resumed.replayed if resumed else 0):
                await self._receive(socket)
        except websockets.ConnectionClosed as closed:
            return _lost(closed)
        if resumed is None:
            self._send_buffer.rewind(0)
        else:
            self._send_buffer.rewind(resumed.received_ms, resumed.received_messages)
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(self._write(socket), name="writer")
            lost = await self._receive_all(socket)
            writer.cancel()
        return lost

    async def _receive_all(self, socket: ClientConnection) -> ConnectionLost:
        self._connected = True
        try:
            while True:
                await self._receive(socket)
        except websockets.ConnectionClosed as closed:
            return _lost(closed)
        finally:
            self._connected = False
            self._flushed.set()

    async def _write(self, socket: ClientConnection) -> None:
        with suppress(websockets.ConnectionClosed):  # The receiving task reports it.
            while True:
                while (item := self._send_buffer.next()) is not None:
                    await socket.send(self._message(item))
                    self._freed.set()
                self._flushed.set()
                self._unsent.clear()
                await self._unsent.wait()

    def _message(self, item: Item) -> str | bytes:
        if isinstance(item, SentCommand):
            return item.text
        if self._binary:
            return item.audio
        return json.dumps(
            {
                "type": "input_audio_buffer.append",
                "audio": base64.b64encode(item.audio).decode(),
                "format": item.encoding.format,
                "sample_rate": item.encoding.sample_rate,
            }
        )

    # Received messages

    async def _receive(self, socket: ClientConnection) -> None:
        """Receive and handle the next message. Raises websockets.ConnectionClosed."""
        text = await socket.recv()
        try:
            await self._handle(*parse_numbered(text))
        except ProtocolError as error:
            await self.events.put(error)

    async def _handle(self, number: int, event: Event) -> None:
        if 0 < number <= self._seen:
            return
        self._update_state(event)
        self._seen = max(self._seen, number)
        reply = self.replies.filter(event)
        if reply is not None:
            await self._emit(reply)

    def _update_state(self, event: Event) -> None:
        if self._seen == 0 and self._token is None:  # The first message, or the error of a rejection.
            self._token = event.resume_token if isinstance(event, Created) else None
            if self._token is None:
                self._send_buffer.stop_keeping(UNSENT_BYTES)
        self._send_buffer.acknowledge(event)
        self._freed.set()

    async def _emit(self, event: Event) -> None:
        if self._wants(event):
            await self.events.put(event)

    # Reconnecting

    async def _reconnect(
        self, resume: ReconnectPolicy, cut: ConnectionLost
    ) -> tuple[ClientConnection, Resumed | None]:
        """Return a new connection to the same session.

        Raises ConnectionLost: that of a rejection, or `cut` after `give_up_seconds`.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(resume.give_up_seconds):
                after = (
                    0.0  # From Retry-After. The random delay is added, as other clients got the same value.
                )
                for delay in resume.delays(random.random):
                    await asyncio.sleep(after + delay)
                    try:
                        found = await self._attempt()
                    except ConnectFailed as rejected:
                        if not may_retry(rejected):
                            raise ConnectionLost(ABNORMAL, f"HTTP {rejected.status}") from rejected
                        found, after = None, rejected.retry_after or 0.0
                    if found is not None:
                        return found
        raise cut

    async def _attempt(self) -> tuple[ClientConnection, Resumed | None] | None:
        """Try to connect once; return None if another attempt may succeed.

        Raises ConnectionLost, ConnectFailed and ProtocolError.
        """
        # Without a first message there is no session to resume, so the stream starts again.
        query = {"resume": self._token, "ack": str(self._seen)} if self._token else {}
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS), AsyncExitStack() as failed:
                socket = await self._dial(query)
                failed.callback(socket.transport.abort)  # A close handshake would end the session.
                resumed = await self._wait_for_resumed(socket) if self._token else None
                if self._token and resumed is None:
                    return None
                failed.pop_all()
                return socket, resumed
        except TimeoutError:
            return None

    async def _wait_for_resumed(self, socket: ClientConnection) -> Resumed | None:
        """Wait for session.resumed; return None if another attempt may succeed.

        Raises ConnectionLost and ProtocolError.
        """
        error_event: Error | None = None
        try:
            while True:
                match parse_numbered(await socket.recv())[1]:
                    case Resumed() as resumed:
                        return resumed
                    case Error() as error:
                        error_event = error
                    case event:
                        raise ProtocolError(f"expected session.resumed, received {event}")
        except websockets.ConnectionClosed as closed:
            lost = _lost(closed)
            if is_worth_retrying(lost):
                return None
            if error_event is not None:
                await self.events.put(error_event)
            raise lost from closed


def _lost(closed: websockets.ConnectionClosed) -> ConnectionLost:
    if closed.rcvd is None:
        return ConnectionLost(ABNORMAL, "")
    return ConnectionLost(closed.rcvd.code, closed.rcvd.reason)
