"""Conversation: one session over a WebSocket: a reader, which never waits for a model, and a writer."""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import orjson

from journal.recorder import NullRecorder
from journal.records import REPLY, AudioRecord, CommandRecord, EndRecord, kind_of
from journal.replay import ReplayedSession
from server.admission.quotas import UsageMeter
from server.connection.message_log import MessageLog
from server.connection.protocol import Message, ResumeSupport, WireProtocol
from server.connection.resume_timer import ResumeTimer
from server.connection.sender import MessageSender, Record
from server.connection.session_recovery import ReplayFilter
from server.connection.websocket import BoundedWebSocket, WebSocketClosed
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
from server.observability.log_config import session_id
from server.observability.metrics import Metrics
from server.observability.session_log import SessionLog
from server.observability.session_timing import SessionTiming
from streaming.driver import StreamDriver
from streaming.errors import DetectorFailed, EventsUnread, Overloaded, StreamBroken
from streaming.snapshot import Snapshot, save
from vad.detector_input import DetectorState
from vad.segmenter import Reason

log = logging.getLogger(__name__)


class ClientSession:
    """Carries messages from a socket to a pump, and the pump's events to the socket, as a dialect has it.

    Where the dialect lets a client come back, the session outlives its socket by `resume_seconds`: what there
    is to tell meanwhile is kept in a journal of at most `journal_bytes`, for the next one, which takes over.
    """

    def __init__(
        self,
        name: str,
        pump: StreamDriver,
        dialect: WireProtocol,
        metrics: Metrics,
        *,
        resume_seconds: float = 0.0,
        journal_bytes: int = 0,
        owner: str | None = None,
        meter: UsageMeter | None = None,
        observer: SessionTiming | None = None,
    ) -> None:
        self.id = name
        self.owner = owner  # the name of the key that began it
        self._meter = meter or UsageMeter()
        self._pump = pump
        self._dialect = dialect
        self._chronicle = SessionLog(metrics)
        self._observer = observer or SessionTiming(metrics)
        self._comeback = dialect.comeback
        self._journal = MessageLog(journal_bytes if self._comeback else 0)
        self._recording = self._comeback.recording if self._comeback else NullRecorder()
        self._past = ReplayFilter()
        self._played = asyncio.Event()  # what came in before has come in once more
        self._socket: BoundedWebSocket | None = None
        self._teller = MessageSender(dialect, self._journal, self._recording)
        self._stopping = False
        self._over = asyncio.Event()  # everything has been told
        self._patience = ResumeTimer(resume_seconds if self._comeback else 0.0)

    @property
    def suspended(self) -> bool:
        """It goes on with another server."""
        return self._teller.stopped

    def stop(self) -> None:
        """The server stops: no more audio is taken in, and what is open is finished, here or by the next."""
        self._stopping = True
        if self._recording.lasts:
            self._pump.hand_over()
            self._teller.stopped = True
            self._main.cancel()
            return
        self._finish(Reason.END_OF_STREAM)
        if self._socket is None:
            self._patience.lose()

    def forget(self) -> None:
        """Nobody can come back any more."""
        self._recording.delete()

    async def run(self, socket: BoundedWebSocket) -> None:
        """Until everything that was said has been told, to this socket or to one that came after it."""
        session_id.set(self.id)
        log.info("session begins: %s", self._dialect.describe())
        self._socket = socket
        self._played.set()
        self._keep(save(self._pump.session))
        await self._run(self._listen(socket, self._dialect.greet()))

    async def go_on(self, past: ReplayedSession) -> None:
        """As `run`, of a session that another server left behind: it waits for its client."""
        session_id.set(self.id)
        log.info("session goes on: %s", self._dialect.describe())
        assert self._comeback is not None  # only sessions that can be resumed are journalled
        self._past = ReplayFilter(past.sent)
        messages = [orjson.dumps(self._comeback.with_audio(*each)) for each in past.messages]
        self._journal.restore(past.number, messages)
        await self._run(self._play(self._comeback, past.tail))

    async def _run(self, listening: Coroutine[Any, Any, None]) -> None:
        main = asyncio.current_task()
        assert main is not None
        self._main = main
        try:
            async with asyncio.TaskGroup() as group:
                listener = group.create_task(listening, name="listener")
                acknowledger = group.create_task(self._teller.acknowledge(self._send), name="acknowledger")
                await self._write()
                acknowledger.cancel()
                self._recording.write()  # no beat comes behind the end
                # A client that was cut off may still come back to hear the end.
                await self._patience.outlast(lambda: self._socket is not None)
                listener.cancel()
        except asyncio.CancelledError:
            if not self.suspended:
                raise
            main.uncancel()
            await self._recording.close()
        finally:
            self._played.set()  # or who came back meanwhile would wait for ever
            self._over.set()
            self._patience.end()
            self._observer.leave()
        await self._close_in_order()

    async def resume(self, socket: BoundedWebSocket, seen: int) -> None:
        """Goes on with another socket, whose client has seen the messages up to a number; until it is closed.

        Raises ClientError where what it missed is forgotten.
        """
        session_id.set(self.id)
        await self._played.wait()
        before = await self._hand_over(socket, seen)
        if before is not None:
            await before.close(CLOSE_TAKEN_OVER, "resumed")
        if not self._over.is_set():
            await self._listen_until_over(socket)
        await self._close_in_order()

    async def _hand_over(self, socket: BoundedWebSocket, seen: int) -> BoundedWebSocket | None:
        """Tells the socket what it missed, before anything new. Returns the one that had the session."""
        assert self._comeback is not None  # or nobody would have its token
        async with self._teller.telling:
            if self.suspended:  # the next server tells what was missed: here it is closed in order
                before, self._socket = self._socket, socket
                return before
            try:
                missed = self._journal.since(seen)
            except LookupError as error:
                log.info("cannot be resumed: %s", error)
                raise resume_unknown() from None
            before, self._socket = self._socket, None  # which is listened to no more
            self._comeback.pause()
            await self._recording.come_back()
            self._socket = socket
            self._patience.end()
            log.info("session is resumed, %d messages were missed", len(missed))
            try:
                await socket.send(self._comeback.welcome(seen, len(missed)))
                for message in missed:
                    await socket.send_text(message)
            except WebSocketClosed:
                self._part(socket)
        return before

    # from the client

    async def _listen_until_over(self, socket: BoundedWebSocket) -> None:
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

    async def _listen(self, socket: BoundedWebSocket, greeting: Sequence[Message] = ()) -> None:
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
        except EventsUnread:  # its session waits for it, and so does what it was to be told
            await socket.close_as_slow()
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
            await self._reply(replies)
        self._meter.check(self._pump.session.received)
        await self._make_room()
        while self._dialect.has_more:
            await asyncio.sleep(0)  # other streams have their turn
            await self._reply(self._dialect.go_on())
            await self._make_room()
        self._observer.heard(self._pump.session.received)

    async def _make_room(self) -> None:
        if not self._pump.has_room:
            await self._pump.room()
        if not self._recording.has_room:
            await self._recording.safe()
        if self._recording.is_due(self._pump.session.is_speaking):
            self._pump.save(self._keep)

    # from and for another server

    def _keep(self, snapshot: Snapshot, memory: DetectorState | None = None) -> None:
        """All it takes to go on from here."""
        if self._comeback is not None:
            head = {**self._comeback.saved(), "owner": self.owner}
            self._recording.open(head, self._journal.number, snapshot, memory)

    async def _play(
        self, comeback: ResumeSupport, tail: Iterable[AudioRecord | CommandRecord | EndRecord]
    ) -> None:
        """Takes in once more what came in before; then it is as if the client had just been cut off."""
        self._recording.replaying = True
        for entry in tail:
            with suppress(Overloaded):  # others are taken up again at the same time
                await self._make_room()
            replies = comeback.replay(entry)
            if replies and not self._past.knows(REPLY):
                await self._reply(replies)
        self._recording.replaying = False
        self._pump.finish_replay()
        self._played.set()
        self._wait_for_client()

    def _part(self, socket: BoundedWebSocket) -> None:
        """The socket is of no more use; the session waits for another one, or ends."""
        if self._socket is not socket or (self._dialect.ended and socket.is_open) or self.suspended:
            return
        self._socket = None
        if self._stopping or socket.said_goodbye or not self._patience.seconds:
            self._finish(Reason.DISCONNECT)
            self._patience.lose()
        else:
            self._wait_for_client()

    def _wait_for_client(self) -> None:
        if self._socket is None and not self._over.is_set() and self._patience.begin(self._wait_no_longer):
            log.info("the client is gone; the session waits for it for %.0f s", self._patience.seconds)
            if self._comeback is not None:
                self._comeback.pause()

    def _wait_no_longer(self) -> None:
        log.info("the client did not come back; what it said is still transcribed")
        self._finish(Reason.DISCONNECT)

    def _finish(self, reason: Reason) -> None:
        try:
            self._dialect.finish(reason)
        except ClientError as error:  # the client has stopped listening, or did not stop by itself
            log.info("at the end of the audio: %s", error.message)

    async def _end_with(self, error: ClientError, last: Sequence[Message] = ()) -> None:
        """Tells of the error, and closes: there is nothing to come back to."""
        self._patience.seconds = 0.0
        await self._tell_error(error)
        await self._tell(last)
        if self._socket is not None:
            await self._socket.close(error.close or CLOSE_INTERNAL, error.reason)

    # to the client

    async def _write(self) -> None:
        """Goes on without a client: speech that has begun is transcribed, and logged, all the same."""
        try:
            async for event in self._pump.events():
                kind = kind_of(event)
                # A partial may not be known, and be older than what was told already.
                if self._past.knows(kind) or not (kind or self._past.is_over):
                    continue
                self._chronicle.event(event)
                await self._tell(self._dialect.tell(event), partial(self._recording.tell, event))
                self._observer.told(event)
        except (DetectorFailed, StreamBroken) as error:
            log.exception("the session ends")
            await self._end_with(internal(str(error)), self._dialect.tell(self._pump.session.abandon()))

    async def _reply(self, replies: Sequence[Message]) -> None:
        replayed = self._comeback is not None and self._comeback.is_replayed(replies)
        await self._tell(replies, self._recording.reply if replayed else None)

    async def _tell(self, messages: Sequence[Message], record: Record | None = None) -> None:
        await self._teller.tell(messages, self._send, record)

    async def _send(self, text: bytes) -> None:
        if (socket := self._socket) is None:
            return
        try:
            await socket.send_text(text)
        except WebSocketClosed:
            self._part(socket)

    async def _close_in_order(self) -> None:
        if self._socket is None or not self._over.is_set():
            return
        if self._stopping:
            await self._socket.close(CLOSE_RESTART, "session_kept" if self.suspended else "server_restarting")
        await self._socket.close(CLOSE_NORMAL)

    async def _tell_error(self, error: ClientError) -> None:
        self._chronicle.error(error)
        if (message := self._dialect.complain(error)) is not None:
            await self._tell([message])
