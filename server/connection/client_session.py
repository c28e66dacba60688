"""Run one session over its connections: read messages, apply them to the stream, send its events."""

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from enum import Enum, auto
from functools import partial
from typing import Any, Final

import orjson

from diarization.reference_clips import ReferenceClipError
from journal.recorder import JournalRecorder
from journal.records import NAMED, REPLY, InputRecord, NoAudioRecord, kind_of
from journal.replay import ReplayedSession
from server.admission.quotas import UsageMeter
from server.connection.message_log import MessageLog
from server.connection.no_audio_timer import NoAudioTimer
from server.connection.partial_speakers import PartialSpeakers
from server.connection.protocol import LiveStream, Message, ResumeSupport, WireProtocol
from server.connection.resume_timer import ResumeTimer
from server.connection.sender import Follower, MessageSender, Record
from server.connection.session_recovery import ReplayFilter
from server.connection.websocket import BoundedWebSocket, WebSocketClosed
from server.errors import (
    CLOSE_INTERNAL,
    CLOSE_NORMAL,
    CLOSE_RESTART,
    CLOSE_TAKEN_OVER,
    CLOSE_TRY_LATER,
    ClientError,
    internal,
    overloaded,
    resume_unknown,
    speakers_unavailable,
)
from server.observability.log_config import session_id
from server.observability.metrics import Metrics
from server.observability.session_log import SessionLog
from server.observability.session_timing import SessionTiming
from streaming.driver import StreamDriver
from streaming.errors import (
    DetectorFailed,
    EventsUnread,
    Overloaded,
    SpeakersUnavailable,
    SpoolFull,
    StreamBroken,
)
from streaming.events import (
    Event,
    FinalTranscript,
    NoteReached,
    PartialTranscript,
    SpeakersRevised,
    TranscriptionFailed,
    UtteranceEnded,
    UtteranceStarted,
)
from streaming.snapshot import Snapshot, save
from streaming.stream_speakers import ReferenceClip, SpeakersNamed, StreamSpeakers
from vad.detector_input import DetectorState
from vad.segmenter import Reason

log = logging.getLogger(__name__)

MAX_WAITING_NAMES: Final = 8  # lists of known speakers that wait for the finals of earlier utterances


class SessionState(Enum):
    """Name the states of a session; it never goes back to an earlier state.

    ACTIVE: audio is accepted, also from a client that has yet to reconnect
    DRAINING: no more audio is accepted; what was received is recognized and sent
    SUSPENDED: the session is left in its journal for the next server; nothing more is sent from here
    ENDED: everything was sent
    """

    ACTIVE = auto()
    DRAINING = auto()
    SUSPENDED = auto()
    ENDED = auto()


class ClientSession:
    """Carry messages from a socket to a stream, and the stream's events to the socket, in a wire protocol.

    If the protocol supports it, the session outlives its socket by `resume_seconds`: the messages sent
    meanwhile are kept, up to `log_bytes`, for the socket that resumes it.

    no_audio_seconds: time without audio from a connected client that ends the open utterance; 0 for none
    owner: name of the key that began the session
    recorder: keeps the session in a journal, beyond the end of the server; only with a StreamDriver
    """

    def __init__(
        self,
        name: str,
        driver: LiveStream,
        protocol: WireProtocol,
        metrics: Metrics,
        *,
        resume_seconds: float = 0.0,
        no_audio_seconds: float = 0.0,
        log_bytes: int = 0,
        owner: str | None = None,
        meter: UsageMeter | None = None,
        timing: SessionTiming | None = None,
        recorder: JournalRecorder | None = None,
    ) -> None:
        self.id = name
        self.owner = owner
        self.state = SessionState.ACTIVE
        self._driver = driver
        self._protocol = protocol
        self._meter = meter or UsageMeter()
        self._session_log = SessionLog(metrics)
        self._timing = timing or SessionTiming(metrics)
        self._support = protocol.resume_support
        self._log = MessageLog(log_bytes if self._support else 0)
        self._recorder = recorder
        self._recorded: StreamDriver | None = None
        if recorder is not None:
            assert isinstance(driver, StreamDriver)
            self._recorded = driver
        self._sender = MessageSender(protocol, self._log, recorder)
        self._replay_filter = ReplayFilter()
        self._speakers: StreamSpeakers | None = None  # made for the first final whose speakers are wanted
        self._partial_speakers = PartialSpeakers()
        self._ended_utterance = self._concluded_utterance = 0  # the latest that ended, and that had its final
        # Names of speakers, after the utterance that had ended then.
        self._waiting_names: deque[tuple[int, SpeakersNamed]] = deque()
        self._loading_speakers: asyncio.Future[tuple[BaseException | None]] | None = None
        self._replayed = asyncio.Event()  # the input of an earlier server has been applied again
        self._finished = asyncio.Event()  # the session has ended or is suspended
        self._socket: BoundedWebSocket | None = None
        self._idle_error: ClientError | None = None  # sent after the last final of a client that was idle
        self._close = CLOSE_NORMAL, ""  # code and reason with which the last socket is closed
        self._timer = ResumeTimer(resume_seconds if self._support else 0.0)
        self._no_audio_timer = NoAudioTimer(no_audio_seconds)

    def stop(self) -> None:
        """Accept no more audio, because the server stops; finish the session here or leave it to the next."""
        if self.state in (SessionState.SUSPENDED, SessionState.ENDED):
            return
        if self._recorder is not None and self._recorder.is_durable:
            self._suspend()
            return
        self._close = CLOSE_RESTART, "server_restarting"
        self._timer.give_up()
        self._end_input(Reason.END_OF_STREAM)

    def forget(self) -> None:
        """Delete what is kept of the session: its client can no longer resume it."""
        if self._recorder is not None:
            self._recorder.delete()

    def kept_messages(self) -> tuple[int, list[bytes]]:
        """Return the messages that are kept for a client that resumes, as they were sent.

        The first value is the number of the newest message before them.
        """
        return self._log.dropped, self._log.since(self._log.dropped)

    def follow(self, follower: Follower) -> None:
        """Let a follower observe all messages from here on, and the end. It replaces the one before."""
        self._sender.follower = follower
        if self._finished.is_set():
            follower.ended(suspended=self.state is SessionState.SUSPENDED)

    async def run(self, socket: BoundedWebSocket) -> None:
        """Run a new session until everything was sent, to this socket or to one that resumed it."""
        session_id.set(self.id)
        log.info("session.started config=%s", self._protocol.describe())
        self._socket = socket
        self._replayed.set()
        if self._recorded is not None:
            self._record_snapshot(save(self._recorded.session))
        await self._run(self._read(socket, self._protocol.initial_messages()))

    async def run_recovered(self, recovered: ReplayedSession) -> None:
        """Run a session that an earlier server left in its journal; it waits for its client."""
        session_id.set(self.id)
        log.info("session.restored config=%s", self._protocol.describe())
        support = self._support
        assert support is not None  # only sessions that can be resumed have a journal
        self._replay_filter = ReplayFilter(recovered.sent)
        if "speakers" in recovered.head and self._driver.models.speakers is not None:
            self._speakers = StreamSpeakers.restored(self._driver.models.speakers, recovered.head["speakers"])
        self._log.restore(
            recovered.number, [orjson.dumps(support.with_audio(*each)) for each in recovered.messages]
        )
        await self._run(self._replay(support, recovered.tail))

    async def _run(self, reading: Coroutine[Any, Any, None]) -> None:
        main = asyncio.current_task()
        assert main is not None
        self._main = main
        self._no_audio_timer.start(self._observe_audio, self._end_without_audio)
        try:
            async with asyncio.TaskGroup() as group:
                reader = group.create_task(reading, name="reader")
                acknowledging = self._sender.send_acknowledgements(self._transmit)
                acknowledger = group.create_task(acknowledging, name="acknowledger")
                await self._send_events()
                if self._idle_error is not None:
                    await self._end_with(self._idle_error)
                acknowledger.cancel()
                if self._recorder is not None:
                    self._recorder.submit()  # no flush tick follows the end
                # A disconnected client may still resume and receive the last messages.
                await self._timer.wait(lambda: self._socket is not None)
                reader.cancel()
        except asyncio.CancelledError:
            if self.state is not SessionState.SUSPENDED or self._recorder is None:
                raise
            main.uncancel()
            await self._recorder.close()
        finally:
            if self.state is not SessionState.SUSPENDED:
                self.state = SessionState.ENDED
            self._replayed.set()  # or a client that resumed meanwhile would wait for ever
            self._finished.set()
            if self._sender.follower is not None:
                self._sender.follower.ended(suspended=self.state is SessionState.SUSPENDED)
            self._timer.stop()
            self._no_audio_timer.stop()
            self._partial_speakers.close()
            self._timing.end()
        await self._close_socket()

    async def resume(self, socket: BoundedWebSocket, seen: int) -> None:
        """Continue with another socket until it is closed or replaced.

        seen: number of the last message that the client has seen
        Raises ClientError if messages that it missed are no longer kept.
        """
        session_id.set(self.id)
        await self._replayed.wait()
        before = await self._replace_socket(socket, seen)
        if before is not None:
            await before.close(CLOSE_TAKEN_OVER, "resumed")
        if not self._finished.is_set():
            await self._read_until_finished(socket)
        await self._close_socket()

    async def _replace_socket(self, socket: BoundedWebSocket, seen: int) -> BoundedWebSocket | None:
        """Send the socket what the client missed, before anything new; return the previous socket."""
        assert self._support is not None  # only then does a client have a token
        async with self._sender.lock:
            if self.state is SessionState.SUSPENDED:  # the next server sends what was missed
                before, self._socket = self._socket, socket
                return before
            try:
                missed = self._log.since(seen)
            except LookupError as error:
                log.info("resume.refused reason=%r", str(error))
                raise resume_unknown() from None
            before, self._socket = self._socket, None  # nothing more is read from it
            self._support.pause()
            if self._recorder is not None:
                await self._recorder.reconnect()
            self._socket = socket
            self._timer.stop()
            self._no_audio_timer.start(self._observe_audio, self._end_without_audio)
            log.info("resume.accepted missed=%d", len(missed))
            try:
                await socket.send(self._support.resumed_message(seen, len(missed)))
                for message in missed:
                    await socket.send_text(message)
            except WebSocketClosed:
                self._detach(socket)
        return before

    # from the client

    async def _read_until_finished(self, socket: BoundedWebSocket) -> None:
        reader = asyncio.create_task(self._read(socket), name="reader")
        finished = asyncio.create_task(self._finished.wait(), name="finished")
        try:
            await asyncio.wait((reader, finished), return_when=asyncio.FIRST_COMPLETED)
            if reader.done() and self._socket is socket:  # the audio has ended; finals are still to come
                await finished
        finally:
            finished.cancel()
            reader.cancel()
            await asyncio.wait((reader, finished))
        if not reader.cancelled():
            reader.result()

    async def _read(self, socket: BoundedWebSocket, initial: Sequence[Message] = ()) -> None:
        """Handle the messages of a socket until it is closed or replaced, or the audio ends."""
        limit = self._protocol.idle_limit
        try:
            await self._send(initial)
            async for message in socket.messages(None if limit is None else limit.seconds):
                if self.state is not SessionState.ACTIVE or self._socket is not socket:
                    return
                await self._handle_message(message)
                if self._driver.session.input_ended:
                    self._drain()
                    return
        except TimeoutError:
            assert limit is not None
            self._idle_error = limit.error()
            self._end_input(Reason.NO_AUDIO)
        except EventsUnread:  # the session and its unread events wait for the client to resume
            await socket.close_as_slow()
        except SpoolFull as error:
            await self._finish_overloaded(socket, overloaded(str(error)))
        except Overloaded as error:
            await self._end_with(overloaded(str(error)))
        except ClientError as error:
            await self._end_with(error)
        finally:
            self._detach(socket)

    async def _handle_message(self, message: str | bytes) -> None:
        """Apply a message and wait until the next one may come.

        This is the path of every chunk of audio: without a reply or a journal it takes no lock.
        Raises Overloaded, and ClientError for what ends the session.
        """
        driver, protocol, recorder = self._driver, self._protocol, self._recorder
        try:
            replies = protocol.receive(message) if recorder is None else self._receive(message, recorder)
        except ClientError as error:
            if error.close is not None:
                raise
            await self._send_error(error)
        else:
            if replies:
                await self._reply(replies)
        if driver.session.received >= self._meter.next_check:
            self._meter.check(driver.session.received)
        if recorder is not None or not driver.has_capacity:
            await self._wait_for_capacity()
        while protocol.has_pending_input:
            await asyncio.sleep(0)  # other streams have their turn
            if replies := protocol.continue_input():
                await self._reply(replies)
            await self._wait_for_capacity()
        self._timing.audio_received(driver.session.received)

    def _receive(self, message: str | bytes, recorder: JournalRecorder) -> Sequence[Message]:
        """Apply a message; record it if it was not audio, which is recorded on its way into the stream."""
        support = self._support
        assert support is not None  # only sessions that can be resumed have a journal
        commands = support.commands
        try:
            replies = self._protocol.receive(message)
        except ClientError:
            if support.commands != commands:
                recorder.refusal()
            raise
        if support.commands != commands:
            assert isinstance(message, str)
            recorder.command(message)
        return replies

    async def _wait_for_capacity(self) -> None:
        recorder, recorded = self._recorder, self._recorded
        if not self._driver.has_capacity:
            await self._driver.wait_for_capacity()
        if recorder is not None and recorded is not None:
            if not recorder.has_capacity:
                await recorder.flush()
            # A snapshot holds all audio that waits: with much of it the journal continues without one.
            if recorded.holds_little and recorder.is_snapshot_due(recorded.session.is_speaking):
                recorded.save(self._record_snapshot)

    def _observe_audio(self) -> tuple[int, bool]:
        """Return the samples received so far, and whether the client is connected and was read to the end."""
        return self._driver.received, self._socket is not None and self._socket.is_waiting

    def _end_without_audio(self) -> None:
        """End the open utterance at the last received sample: the client is connected and sends no audio."""
        if self.state is SessionState.ACTIVE:
            if self._recorder is not None:
                self._recorder.no_audio()
            self._driver.end_without_audio()

    # from and for another server

    def _record_snapshot(self, snapshot: Snapshot, detector_state: DetectorState | None = None) -> None:
        """Record everything that another server needs to continue from here."""
        if self._recorder is not None and self._support is not None:
            head = {**self._support.saved(), "owner": self.owner}
            if self._speakers is not None:
                head["speakers"] = self._speakers.saved()
            self._recorder.snapshot(head, self._log.number, snapshot, detector_state)

    async def _replay(self, support: ResumeSupport, tail: Iterable[InputRecord]) -> None:
        """Apply recorded input again; afterwards it is as if the client had just been disconnected."""
        for entry in tail:
            with suppress(Overloaded):  # other sessions are restored at the same time
                await self._wait_for_capacity()
            if isinstance(entry, NoAudioRecord):
                self._driver.end_without_audio()
                continue
            replies = support.replay(entry)
            if replies and not self._replay_filter.consume(REPLY):
                await self._reply(replies)
        if self._recorder is not None:
            self._recorder.finish_replay()
        if self._recorded is not None:
            self._recorded.finish_replay()
        if self._driver.input_ended:
            self._drain()
        self._replayed.set()
        self._wait_for_client()

    # from one state to the next

    def _drain(self) -> None:
        """Accept no more audio."""
        if self.state is SessionState.ACTIVE:
            self.state = SessionState.DRAINING

    def _suspend(self) -> None:
        """Leave the session to the next server."""
        self.state = SessionState.SUSPENDED
        self._close = CLOSE_RESTART, "session_kept"
        if self._recorded is not None:
            self._recorded.hand_over()
        self._sender.stop()
        self._main.cancel()

    def _end_input(self, reason: Reason) -> None:
        try:
            self._protocol.finish(reason)
        except ClientError as error:  # the client is not connected, or did not end the audio itself
            log.info("session.incomplete_audio message=%r", error.message)
        self._drain()

    def _detach(self, socket: BoundedWebSocket) -> None:
        """Stop using the socket: the session waits for another one, or ends."""
        if self._socket is not socket or self.state is SessionState.SUSPENDED:
            return
        if self.state is not SessionState.ACTIVE and socket.is_open:  # finals are still sent to it
            return
        self._socket = None
        if socket.closed_by_client or not self._timer.may_wait:
            self._end_input(Reason.DISCONNECT)
            self._timer.give_up()
        else:
            self._wait_for_client()

    def _wait_for_client(self) -> None:
        if self._socket is None and not self._finished.is_set() and self._timer.start(self._give_up):
            log.info("client.disconnected waiting_seconds=%.0f", self._timer.seconds)
            if self._support is not None:
                self._support.pause()

    def _give_up(self) -> None:
        log.info("resume.expired")
        self._end_input(Reason.DISCONNECT)

    async def _finish_overloaded(self, socket: BoundedWebSocket, error: ClientError) -> None:
        """Accept no more audio, and close once the finals of what was accepted are sent."""
        self._close = CLOSE_TRY_LATER, error.reason
        await self._send_error(error)
        self._end_input(Reason.END_OF_STREAM)
        await socket.discard()

    async def _end_with(self, error: ClientError, last: Sequence[Message] = ()) -> None:
        """Send the error and the last messages, and close; the session cannot be resumed."""
        self._timer.give_up()
        await self._send_error(error)
        await self._send(last)
        if self._socket is not None:
            await self._socket.close(error.close or CLOSE_INTERNAL, error.reason)

    # to the client

    async def _send_events(self) -> None:
        """Send the stream's events, or keep them while no client is connected."""
        try:
            async for event in self._driver.events():
                if isinstance(event, UtteranceStarted) and self._protocol.wants_speakers(event.utterance):
                    self._load_speakers()
                if isinstance(event, PartialTranscript) and self._protocol.wants_speakers(event.utterance):
                    event = self._with_likely_speaker(event)
                if isinstance(event, FinalTranscript) and self._protocol.wants_speakers(event.utterance):
                    event = await self._with_speakers(event)
                if isinstance(event, UtteranceEnded):
                    self._ended_utterance = event.utterance
                if isinstance(event, NoteReached) and isinstance(event.note, SpeakersNamed):
                    self._waiting_names.append((self._ended_utterance, event.note))
                await self._send_event(event)
                if isinstance(event, FinalTranscript | TranscriptionFailed):
                    self._concluded_utterance = event.utterance
                await self._name_speakers_in_turn()
                if isinstance(event, FinalTranscript | NoteReached) and self._protocol.wants_revisions:
                    await self._revise_speakers()
        except (DetectorFailed, StreamBroken) as error:
            log.exception("session.failed")
            await self._end_with(internal(str(error)), self._protocol.encode(self._driver.abandon()))

    async def _send_event(self, event: Event) -> None:
        messages = self._protocol.encode(event)  # for every event: the protocol captures options
        kind = kind_of(event)
        # During a replay a partial may be unknown and still older than what was sent before.
        if self._replay_filter.consume(kind) or not (kind or self._replay_filter.is_over):
            return
        self._session_log.event(event)
        record = None if self._recorder is None else partial(self._recorder.output, event)
        await self._send(messages, record)
        self._timing.event_sent(event)

    async def _revise_speakers(self) -> None:
        """Tell the client which earlier finals turn out to have other speakers."""
        if self._speakers is not None and (changes := await self._speakers.revise()):
            await self._send_event(SpeakersRevised(tuple(changes)))

    def _stream_speakers(self) -> StreamSpeakers | None:
        """Return the speakers of the stream; None if the server does not distinguish speakers."""
        client = self._driver.models.speakers
        if client is None:
            return None
        self._speakers = self._speakers or StreamSpeakers(client)
        self._speakers.keep_history(self._protocol.wants_revisions)
        return self._speakers

    def _with_likely_speaker(self, partial: PartialTranscript) -> PartialTranscript:
        if self._speakers is None:
            return partial
        return self._partial_speakers.labelled(partial, self._speakers, self._driver.session.beginning_of)

    async def _with_speakers(self, final: FinalTranscript) -> FinalTranscript:
        """Return the final with its speakers; without them if the model cannot be used."""
        speakers = self._stream_speakers()
        if speakers is None:
            return final
        try:
            return await speakers.label(final)
        except SpeakersUnavailable as error:
            log.warning("speakers.unavailable error=%s", error)
            return final

    async def _name_speakers_in_turn(self) -> None:
        """Apply the names that came after utterances whose finals have all been sent by now.

        More than MAX_WAITING_NAMES do not wait.
        """
        names = self._waiting_names
        while names and (names[0][0] <= self._concluded_utterance or len(names) > MAX_WAITING_NAMES):
            await self._name_speakers(names.popleft()[1])

    async def _name_speakers(self, named: SpeakersNamed) -> None:
        """Learn the voices of known speakers, forget those of before, and send an error for each bad clip.

        The next events wait, so that the names are in force from the place of the client's message on.
        """
        if self._speakers is not None:
            self._speakers.keep_names(named.names)
        named_now = [
            await self._name_speaker(f"Clip {number} of `known_speakers`", clip)
            for number, clip in enumerate(named.clips, 1)
        ]
        errors = [error for error in named_now if error is not None]
        if self._replay_filter.consume(NAMED):
            return
        messages = []
        for error in errors:
            error.event_id = named.event_id
            self._session_log.error(error)
            if (message := self._protocol.encode_error(error)) is not None:
                messages.append(message)
        await self._send(messages, None if self._recorder is None else self._recorder.named)

    async def _name_speaker(self, what: str, clip: ReferenceClip) -> ClientError | None:
        """Return the error about a clip.

        what: how the error calls the clip: errors are logged, and names of people are not
        """
        speakers = self._stream_speakers()
        if speakers is None:
            return speakers_unavailable("This server does not distinguish speakers.")
        try:
            await speakers.enrol(clip)
        except ReferenceClipError as error:
            return ClientError("invalid_known_speaker", f"{what} {error}.", param="session.known_speakers")
        except SpeakersUnavailable as error:
            log.warning("speakers.unavailable error=%s", error)
            return speakers_unavailable(f"The speakers cannot be named: {error}")
        return None

    def _load_speakers(self) -> None:
        """Load the model of speakers while the first utterance is being spoken."""
        client = self._driver.models.speakers
        if client is not None and self._loading_speakers is None:
            self._loading_speakers = asyncio.gather(client.start(), return_exceptions=True)

    async def _reply(self, replies: Sequence[Message]) -> None:
        recorder, support = self._recorder, self._support
        replayed = recorder is not None and support is not None and support.is_replayed(replies)
        await self._send(replies, recorder.reply if recorder is not None and replayed else None)

    async def _send(self, messages: Sequence[Message], record: Record | None = None) -> None:
        await self._sender.send(messages, self._transmit, record)

    async def _transmit(self, text: bytes) -> None:
        if (socket := self._socket) is None:
            return
        try:
            await socket.send_text(text)
        except WebSocketClosed:
            self._detach(socket)

    async def _close_socket(self) -> None:
        if self._socket is not None and self._finished.is_set():
            await self._socket.close(*self._close)

    async def _send_error(self, error: ClientError) -> None:
        self._session_log.error(error)
        if (message := self._protocol.encode_error(error)) is not None:
            await self._send([message])
