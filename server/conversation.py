"""Conversation: one session over a WebSocket: a reader, which never waits for a model, and a writer."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from audio.clip import SAMPLE_RATE, ms_from_samples
from server.dialect import Dialect, Message
from server.errors import (
    CLOSE_INTERNAL,
    CLOSE_NORMAL,
    CLOSE_RESTART,
    ClientError,
    idle,
    internal,
    overloaded,
)
from server.logs import session_id
from server.metrics import Metrics
from server.socket import Socket, SocketClosed
from stream.errors import DetectorFailed, Overloaded
from stream.events import Closed, Event, Failed
from stream.events import Final as FinalEvent
from stream.journal import Journal
from stream.pump import Pump
from vad.segmenter import Reason

log = logging.getLogger(__name__)

# Events that are kept to resume from: none, as long as nobody can resume. A final holds its sound, so that
# the journal's bound will have to be one of bytes.
JOURNAL_CAPACITY: Final = 0


class Conversation:
    """Carries messages from a socket to a pump, and the pump's events to the socket, as a dialect has it."""

    def __init__(self, name: str, socket: Socket, pump: Pump, dialect: Dialect, metrics: Metrics) -> None:
        self.id = name
        self._socket = socket
        self._pump = pump
        self._dialect = dialect
        self._metrics = metrics
        self._journal: Journal[Message] = Journal(JOURNAL_CAPACITY)
        self._telling = asyncio.Lock()
        self._stopping = False

    def stop(self) -> None:
        """The server stops: no more audio is taken in, and what is open is finished."""
        self._stopping = True
        self._finish(Reason.END_OF_STREAM)

    async def run(self) -> None:
        """Until everything that was said has been told."""
        session_id.set(self.id)
        log.info("session begins: %s", self._dialect.describe())
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(self._read(), name="reader")
            await self._write()
            reader.cancel()
        if self._stopping:
            await self._socket.close(CLOSE_RESTART, "server_restarting")
        await self._socket.close(CLOSE_NORMAL)

    async def _read(self) -> None:
        try:
            await self._tell(self._dialect.greet())
            async for message in self._socket.messages(self._dialect.idle_seconds):
                await self._take_in(message)
                if self._dialect.ended:
                    return
                if not self._pump.has_room:
                    await self._pump.room()
        except SocketClosed:
            pass
        except TimeoutError:
            await self._end_with(idle())
        except Overloaded as error:
            await self._end_with(overloaded(str(error)))
        except ClientError as error:
            await self._end_with(error)
        finally:
            self._finish(Reason.DISCONNECT)

    async def _take_in(self, message: str | bytes) -> None:
        """Raises SocketClosed."""
        if self._dialect.ended:
            return
        try:
            replies = self._dialect.receive(message)
        except ClientError as error:
            if error.close is not None:
                raise
            await self._tell_error(error)
        else:
            if replies:
                await self._tell(replies)

    def _finish(self, reason: Reason) -> None:
        try:
            self._dialect.finish(reason)
        except ClientError as error:  # the client has stopped listening, or did not stop by itself
            log.info("at the end of the audio: %s", error.message)

    async def _end_with(self, error: ClientError) -> None:
        try:
            await self._tell_error(error)
        except SocketClosed:
            return
        await self._socket.close(error.close or CLOSE_INTERNAL, error.reason)

    async def _write(self) -> None:
        """Goes on without a client: speech that has begun is transcribed, and logged, all the same."""
        try:
            async for event in self._pump.events():
                self._record(event)
                messages = self._dialect.tell(event)
                if messages and self._socket.is_open:
                    await self._try_to_tell(messages)
        except DetectorFailed as error:
            log.exception("the session ends")
            await self._end_with(internal(str(error)))

    async def _try_to_tell(self, messages: Sequence[Message]) -> None:
        try:
            await self._tell(messages)
        except SocketClosed:
            log.info("the client is gone; what it said is still transcribed")

    async def _tell(self, messages: Sequence[Message]) -> None:
        async with self._telling:  # replies and events are sent in the order of their numbers
            for message in messages:
                self._dialect.stamp(message, self._journal.append(message))
                await self._socket.send(message)

    async def _tell_error(self, error: ClientError) -> None:
        self._metrics.errors.labels(error.code).inc()
        log.info("told the client: %s: %s", error.code, error.message)
        message = self._dialect.complain(error)
        if message is not None:
            await self._tell([message])

    def _record(self, event: Event) -> None:
        if isinstance(event, FinalEvent):
            self._metrics.finals.labels(event.reason).inc()
            milliseconds = ms_from_samples(event.clip.start), ms_from_samples(event.clip.end)
            log.info("final %d, %d to %d ms, %s", event.utterance, *milliseconds, event.reason)
            if event.eager:
                self._metrics.eager_finals.inc()
            if event.guard is not None:
                self._metrics.guarded_segments.labels(event.guard).inc()
                log.info("final %d: text refused by the guard %s", event.utterance, event.guard)
        elif isinstance(event, Failed):
            self._metrics.errors.labels("transcription_failed").inc()
            log.error("utterance %d failed: %s", event.utterance, event.message)
        elif isinstance(event, Closed):
            for fate in ("speech", "non_speech", "dropped"):
                self._metrics.audio_seconds.labels(fate).inc(getattr(event, fate) / SAMPLE_RATE)
            log.info("session ends: %s", event)
