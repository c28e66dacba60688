"""Conversation: one session over a WebSocket: a reader, which never waits for a model, and a writer."""

import asyncio
import logging
from collections.abc import Sequence

import orjson

from audio.clip import ms_from_samples
from server.dialect import Dialect, Message
from server.errors import (
    CLOSE_INTERNAL,
    CLOSE_NORMAL,
    CLOSE_RESTART,
    CLOSE_TAKEN_OVER,
    ClientError,
    idle,
    internal,
    overloaded,
    resume_unknown,
)
from server.logs import session_id
from server.metrics import Metrics
from server.socket import Socket, SocketClosed
from stream.errors import DetectorFailed, Overloaded
from stream.events import Closed, Event, Failed, Noted
from stream.events import Final as FinalEvent
from stream.journal import Journal
from stream.pump import Pump
from vad.segmenter import Reason

log = logging.getLogger(__name__)


class Conversation:
    """Carries messages from a socket to a pump, and the pump's events to the socket, as a dialect has it.

    Where the dialect lets a client come back, the session outlives its socket by `resume_seconds`: what
    there is to tell meanwhile is kept in a journal of at most `journal_bytes`, for the next socket. There is
    one socket at a time; the next one takes over.
    """

    def __init__(
        self,
        name: str,
        pump: Pump,
        dialect: Dialect,
        metrics: Metrics,
        *,
        resume_seconds: float = 0.0,
        journal_bytes: int = 0,
    ) -> None:
        self.id = name
        self._pump = pump
        self._dialect = dialect
        self._metrics = metrics
        self._comeback = dialect.comeback
        self._resume_seconds = resume_seconds if self._comeback else 0.0
        self._journal = Journal(journal_bytes if self._resume_seconds else 0)
        self._socket: Socket | None = None
        self._telling = asyncio.Lock()
        self._stopping = False
        self._over = asyncio.Event()  # everything has been told
        self._given_up = False  # nobody came back in time
        self._news = asyncio.Event()  # of one of both: somebody came back, or is waited for no longer
        self._patience: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        """The server stops: no more audio is taken in, and what is open is finished."""
        self._stopping = True
        self._finish(Reason.END_OF_STREAM)
        if self._socket is None:
            self._give_up()

    async def run(self, socket: Socket) -> None:
        """Until everything that was said has been told, to this socket or to one that came after it."""
        session_id.set(self.id)
        log.info("session begins: %s", self._dialect.describe())
        self._socket = socket
        try:
            async with asyncio.TaskGroup() as group:
                listener = group.create_task(self._listen(socket, self._dialect.greet()), name="listener")
                await self._write()
                await self._heard_out()
                listener.cancel()
        finally:
            self._over.set()
            if self._patience is not None:
                self._patience.cancel()
        await self._close_in_order()

    async def resume(self, socket: Socket, seen: int) -> None:
        """Goes on with another socket, whose client has seen the messages up to a number; until it is closed.

        Raises ClientError where what it missed is forgotten.
        """
        session_id.set(self.id)
        before = await self._hand_over(socket, seen)
        if before is not None:
            await before.close(CLOSE_TAKEN_OVER, "resumed")
        if not self._over.is_set():
            await self._listen_until_over(socket)
        await self._close_in_order()

    async def _hand_over(self, socket: Socket, seen: int) -> Socket | None:
        """Tells the socket what it missed, before anything new. Returns the one that had the session."""
        assert self._comeback is not None  # or nobody would have its token
        async with self._telling:
            try:
                missed = self._journal.since(seen)
            except LookupError as error:
                log.info("cannot be resumed: %s", error)
                raise resume_unknown() from None
            before, self._socket = self._socket, socket
            self._comeback.pause()
            self._news.set()
            if self._patience is not None:
                self._patience.cancel()
                self._patience = None
            log.info("session is resumed, %d messages were missed", len(missed))
            try:
                await socket.send(self._comeback.welcome(seen, len(missed)))
                for message in missed:
                    await socket.send_text(message)
            except SocketClosed:
                self._part(socket)
        return before

    # from the client

    async def _listen_until_over(self, socket: Socket) -> None:
        listener = asyncio.create_task(self._listen(socket), name="listener")
        over = asyncio.create_task(self._over.wait(), name="over")
        try:
            await asyncio.wait((listener, over), return_when=asyncio.FIRST_COMPLETED)
            if listener.done() and self._socket is socket:  # it said its last; the finals are still to come
                await over
        finally:
            over.cancel()
            listener.cancel()
            await asyncio.wait((listener, over))
        if not listener.cancelled():
            listener.result()

    async def _listen(self, socket: Socket, greeting: Sequence[Message] = ()) -> None:
        """Takes in the messages of a socket, until it is closed or has lost the session to another one."""
        try:
            await self._tell(greeting)
            async for message in socket.messages(self._dialect.idle_seconds):
                if self._dialect.ended or self._socket is not socket:
                    return
                await self._take_in(message)
                if self._dialect.ended:
                    return
        except TimeoutError:
            await self._end_with(idle())
        except Overloaded as error:
            await self._end_with(overloaded(str(error)))
        except ClientError as error:
            await self._end_with(error)
        finally:
            self._part(socket)

    async def _take_in(self, message: str | bytes) -> None:
        """Raises ClientError for what ends the session, Overloaded."""
        try:
            replies = self._dialect.receive(message)
        except ClientError as error:
            if error.close is not None:
                raise
            await self._tell_error(error)
        else:
            await self._tell(replies)
        while self._dialect.go_on():
            await asyncio.sleep(0)  # other streams have their turn
            await self._make_room()
        await self._make_room()

    async def _make_room(self) -> None:
        if not self._pump.has_room:
            await self._pump.room()

    def _part(self, socket: Socket) -> None:
        """The socket is of no more use; the session waits for another one, or ends."""
        if self._socket is not socket or (self._dialect.ended and socket.is_open):
            return
        self._socket = None
        if self._stopping or socket.said_goodbye or not self._resume_seconds:
            self._finish(Reason.DISCONNECT)
            self._give_up()
        elif self._patience is None and not self._over.is_set():
            log.info("the client is gone; the session waits for it for %.0f s", self._resume_seconds)
            if self._comeback is not None:
                self._comeback.pause()
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(self._resume_seconds, self._wait_no_longer)

    def _wait_no_longer(self) -> None:
        log.info("the client did not come back; what it said is still transcribed")
        self._finish(Reason.DISCONNECT)
        self._give_up()

    def _give_up(self) -> None:
        self._given_up = True
        self._news.set()

    def _finish(self, reason: Reason) -> None:
        try:
            self._dialect.finish(reason)
        except ClientError as error:  # the client has stopped listening, or did not stop by itself
            log.info("at the end of the audio: %s", error.message)

    async def _end_with(self, error: ClientError) -> None:
        """Tells of the error, and closes: there is nothing to come back to."""
        self._resume_seconds = 0.0
        await self._tell_error(error)
        if self._socket is not None:
            await self._socket.close(error.close or CLOSE_INTERNAL, error.reason)

    # to the client

    async def _write(self) -> None:
        """Goes on without a client: speech that has begun is transcribed, and logged, all the same."""
        try:
            async for event in self._pump.events():
                self._record(event)
                await self._tell(self._dialect.tell(event))
        except DetectorFailed as error:
            log.exception("the session ends")
            await self._end_with(internal(str(error)))

    async def _heard_out(self) -> None:
        """Waits for a client that was cut off before it heard the end."""
        while self._socket is None and not self._given_up:
            self._news.clear()
            await self._news.wait()

    async def _tell(self, messages: Sequence[Message]) -> None:
        if not messages:
            return
        async with self._telling:  # replies and events are sent in the order of their numbers
            for message in messages:
                self._dialect.stamp(message, self._journal.number + 1)
                text = orjson.dumps(message)
                self._journal.append(text)
                socket = self._socket
                if socket is None:
                    continue
                try:
                    await socket.send_text(text)
                except SocketClosed:
                    self._part(socket)

    async def _close_in_order(self) -> None:
        if self._socket is None or not self._over.is_set():
            return
        if self._stopping:
            await self._socket.close(CLOSE_RESTART, "server_restarting")
        await self._socket.close(CLOSE_NORMAL)

    async def _tell_error(self, error: ClientError) -> None:
        self._record_error(error)
        message = self._dialect.complain(error)
        if message is not None:
            await self._tell([message])

    def _record_error(self, error: ClientError) -> None:
        self._metrics.errors.labels(error.code).inc()
        log.info("told the client: %s: %s", error.code, error.message)

    def _record(self, event: Event) -> None:
        self._metrics.observe_event(event)
        if isinstance(event, FinalEvent):
            milliseconds = ms_from_samples(event.clip.start), ms_from_samples(event.clip.end)
            log.info("final %d, %d to %d ms, %s", event.utterance, *milliseconds, event.reason)
            if event.guard is not None:
                log.info("final %d: text refused by the guard %s", event.utterance, event.guard)
        elif isinstance(event, Failed):
            log.error("utterance %d failed: %s", event.utterance, event.message)
        elif isinstance(event, Noted) and isinstance(event.note, ClientError):  # told at its place
            self._record_error(event.note)
        elif isinstance(event, Closed):
            log.info("session ends: %s", event)
