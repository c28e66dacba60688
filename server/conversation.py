"""Conversation: one session of the native protocol: a reader, which never waits for a model, and a writer."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from audio.clip import SAMPLE_RATE, ms_from_samples
from server.errors import (
    CLOSE_INTERNAL,
    CLOSE_NORMAL,
    CLOSE_RESTART,
    ClientError,
    internal,
    overloaded,
)
from server.intake import Intake
from server.logs import session_id
from server.metrics import Metrics
from server.preferences import Preferences
from server.socket import Socket, SocketClosed
from server.wire import Wire
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
    """Carries messages from a socket to a pump, and the pump's events to the socket."""

    def __init__(
        self, name: str, socket: Socket, pump: Pump, preferences: Preferences, metrics: Metrics
    ) -> None:
        self.id = name
        self._socket = socket
        self._pump = pump
        self._metrics = metrics
        self._intake = Intake(pump, preferences)
        self._wire = Wire(self.id)
        self._journal: Journal[dict[str, object]] = Journal(JOURNAL_CAPACITY)
        self._telling = asyncio.Lock()
        self._stopping = False

    def stop(self) -> None:
        """The server stops: no more audio is taken in, and what is open is finished."""
        self._stopping = True
        self._finish(Reason.END_OF_STREAM)

    async def run(self, greeting: Mapping[str, object]) -> None:
        """Until everything that was said has been told. greeting: the server's part of `session.created`."""
        session_id.set(self.id)
        told = {key: value for key, value in self._intake.preferences.effective().items() if key != "prompt"}
        log.info("session begins: %s", told)
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(self._read(greeting), name="reader")
            await self._write()
            reader.cancel()
        if self._stopping:
            await self._socket.close(CLOSE_RESTART, "server_restarting")
        await self._socket.close(CLOSE_NORMAL)

    async def _read(self, greeting: Mapping[str, object]) -> None:
        try:
            await self._greet(greeting)
            async for message in self._socket.messages():
                await self._take_in(message)
                if self._intake.ended:
                    return
                if not self._pump.has_room:
                    await self._pump.room()
        except SocketClosed:
            pass
        except Overloaded as error:
            await self._end_with(overloaded(str(error)))
        except ClientError as error:
            await self._end_with(error)
        finally:
            self._finish(Reason.DISCONNECT)

    async def _greet(self, greeting: Mapping[str, object]) -> None:
        preferences = self._intake.preferences
        if "session.created" in preferences.events:
            created = {"type": "session.created", "session_id": self.id, "resume_token": None}
            await self._tell({**created, "session": preferences.effective(), **greeting})

    async def _take_in(self, message: str | bytes) -> None:
        """Raises SocketClosed."""
        if self._intake.ended:
            return
        try:
            reply = self._intake.receive(message)
        except ClientError as error:
            await self._tell_error(error)
        else:
            if reply is not None:
                await self._tell(reply)

    def _finish(self, reason: Reason) -> None:
        try:
            self._intake.finish(reason)
        except ClientError as error:  # the client has stopped listening, or did not stop by itself
            log.info("at the end of the audio: %s", error.message)

    async def _end_with(self, error: ClientError) -> None:
        try:
            await self._tell_error(error)
        except SocketClosed:
            return
        await self._socket.close(error.close or CLOSE_INTERNAL, error.code)

    async def _write(self) -> None:
        """Goes on without a client: speech that has begun is transcribed, and logged, all the same."""
        try:
            async for event in self._pump.events():
                self._record(event)
                message = self._wire.message_of(event, self._intake.preferences)
                if message is not None and self._socket.is_open:
                    await self._try_to_tell(message)
        except DetectorFailed as error:
            log.exception("the session ends")
            await self._end_with(internal(str(error)))

    async def _try_to_tell(self, message: dict[str, object]) -> None:
        try:
            await self._tell(message)
        except SocketClosed:
            log.info("the client is gone; what it said is still transcribed")

    async def _tell(self, message: dict[str, object]) -> None:
        async with self._telling:  # replies and events are sent in the order of their numbers
            number = self._journal.append(message)
            message["seq"] = number
            message["event_id"] = f"event_{self.id}_{number}"
            await self._socket.send(message)

    async def _tell_error(self, error: ClientError) -> None:
        self._metrics.errors.labels(error.code).inc()
        log.info("told the client: %s: %s", error.code, error.message)
        await self._tell(error.as_event())

    def _record(self, event: Event) -> None:
        if isinstance(event, FinalEvent):
            self._metrics.finals.labels(event.reason).inc()
            milliseconds = ms_from_samples(event.clip.start), ms_from_samples(event.clip.end)
            log.info("final %d, %d to %d ms, %s", event.utterance, *milliseconds, event.reason)
        elif isinstance(event, Failed):
            self._metrics.errors.labels("transcription_failed").inc()
            log.error("utterance %d failed: %s", event.utterance, event.message)
        elif isinstance(event, Closed):
            for fate in ("speech", "non_speech", "dropped"):
                self._metrics.audio_seconds.labels(fate).inc(getattr(event, fate) / SAMPLE_RATE)
            log.info("session ends: %s", event)
