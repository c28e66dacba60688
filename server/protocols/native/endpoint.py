"""Serve the native protocol of docs/protocol.md over the WebSocket /ws/stt."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, Self

from starlette.websockets import WebSocket

from asr.recognizer import ModelInfo
from audio.clip import SAMPLE_RATE, Samples
from journal.recorder import JournalRecorder, RecordedStream
from journal.records import AudioRecord, CommandRecord, EndRecord
from journal.replay import ReplayedSession
from journal.session_journal import SessionJournal
from journal.store import JournalStore
from server.connection.ended_session import EndedSession
from server.connection.endpoint import ResumeRequest, SessionRequest, WebSocketEndpoint
from server.connection.protocol import Message, StreamInput
from server.connection.session_registry import digest, new_token
from server.errors import ClientError
from server.protocols.native.input import ACKNOWLEDGED, NativeInput
from server.protocols.native.messages import SessionCreatedMessage
from server.protocols.native.output import NativeOutput, resumed_message, with_audio
from server.protocols.native.session_config import PRIVATE, OutputOptions, SessionConfig, session_from_query
from server.protocols.native.session_state import restore_config, restore_outputs, save_config, save_outputs
from streaming.driver import StreamDriver
from streaming.events import Event
from vad.segmenter import Reason

SUBPROTOCOL: Final = "stt"
# After so many servers that waited for a session's client without success, the next ones wait only briefly:
# otherwise sessions without clients would accumulate while a server restarts again and again.
TAKEOVERS_BEFORE_SHORT_RESUME: Final = 2
SHORT_RESUME_SECONDS: Final = 10.0


class NativeProtocol:
    """Translate one session between native messages and its stream.

    greeting: the server's part of `session.created`; model: name of the recognizer
    token: with which the client resumes, None if it cannot; key: its digest, where only that is known
    commands: number of the session's messages so far that were not audio
    captured: output options of utterances whose finals are still to come
    """

    idle_limit = None

    def __init__(
        self,
        name: str,
        stream: StreamInput,
        config: SessionConfig,
        greeting: Mapping[str, object],
        *,
        model: str = "",
        token: str | None = None,
        key: bytes | None = None,
        commands: int = 0,
        captured: Mapping[int, OutputOptions] | None = None,
    ) -> None:
        self.key = digest(token or "") if key is None else key
        self._is_resumable = token is not None or key is not None
        self._token = token
        self._model = model
        self._name = name
        self._greeting = greeting
        self._input = NativeInput(stream, config, commands)
        self._output = NativeOutput(name, config, captured)

    @classmethod
    def restored(cls, name: str, stream: StreamInput, saved: Mapping[str, Any], refused: int = 0) -> Self:
        """Restore a session from what `saved` returned.

        refused: number of messages since then that are not replayed
        Raises KeyError, TypeError, ValueError for anything else.
        """
        return cls(
            name,
            stream,
            restore_config(saved["preferences"]),
            {},
            model=saved["model"],
            key=bytes.fromhex(saved["key"]),
            commands=saved["commands"] + refused,
            captured=restore_outputs(saved.get("outputs", {})),
        )

    def saved(self) -> Mapping[str, object]:
        """Return, as JSON, what `restored` needs."""
        return {
            "preferences": save_config(self._input.config),
            "outputs": save_outputs(self._output.captured),
            "commands": self._input.commands,
            "key": self.key.hex(),
            "model": self._model,
        }

    def replay(self, entry: AudioRecord | CommandRecord | EndRecord) -> Sequence[Message]:
        """Apply recorded input again; return the replies."""
        match entry:
            case AudioRecord(samples):
                self._input.replay_audio(samples)
            case CommandRecord(text):
                return self.receive(text)
            case EndRecord(reason):
                self._input.finish(reason)
        return ()

    def is_replayed(self, replies: Sequence[Message]) -> bool:
        """Return whether a replay gives these replies again: all but acknowledgements of audio."""
        return any(reply["type"] != ACKNOWLEDGED for reply in replies)

    @property
    def resume_support(self) -> Self | None:
        """The protocol itself, if the client was given a token."""
        return self if self._is_resumable else None

    @property
    def commands(self) -> int:
        """Number of messages so far that were not audio, refused ones included."""
        return self._input.commands

    def initial_messages(self) -> Sequence[Message]:
        """Return `session.created`, if the client subscribed to it."""
        config = self._input.config
        if "session.created" not in config.events:
            return ()
        created = SessionCreatedMessage(
            type="session.created",
            session_id=self._name,
            resume_token=self._token,
            session=config.effective(),
        )
        return ({**created, **self._greeting},)

    def receive(self, message: str | bytes) -> Sequence[Message]:
        """Apply a message; return the reply. Raises ClientError."""
        reply = self._input.receive(message)
        return () if reply is None else (reply,)

    @property
    def has_pending_input(self) -> bool:
        """Whether part of a long message is left for `continue_input`."""
        return self._input.has_pending_input

    def continue_input(self) -> Sequence[Message]:
        """Apply the next part of a long message; return the reply."""
        reply = self._input.continue_input()
        return () if reply is None else (reply,)

    def acknowledge(self) -> Sequence[Message]:
        """Return the acknowledgement of received audio, if there is something new."""
        acknowledgement = self._input.acknowledge()
        return () if acknowledgement is None else (acknowledgement,)

    def pause(self) -> None:
        """Take in what the decoder still holds, for a client that is disconnected."""
        self._input.pause()

    def resumed_message(self, seen: int, replayed: int) -> Message:
        """Return `session.resumed`."""
        return resumed_message(self._name, self._input.received_ms, self._input.commands, seen, replayed)

    def with_audio(self, message: Mapping[str, Any], samples: Samples | None) -> Mapping[str, Any]:
        """Restore a message that the journal keeps without its audio."""
        return with_audio(message, samples)

    def finish(self, reason: Reason) -> None:
        """End the audio. Idempotent. Raises ClientError."""
        self._input.finish(reason)

    def encode(self, event: Event) -> Sequence[Message]:
        """Return the message for an event; none if the client is sent none."""
        message = self._output.message_of(event)
        return () if message is None else (message,)

    def encode_error(self, error: ClientError) -> Message:
        """Return the `error` message."""
        return error.as_event()

    def with_sequence_number(self, message: Message, number: int) -> Message:
        """Add `seq` and `event_id` to a message."""
        return {**message, "seq": number, "event_id": f"event_{self._name}_{number}"}

    def describe(self) -> Mapping[str, object]:
        """Return the configuration without prompt and hotwords."""
        effective = self._input.config.effective()
        return {key: value for key, value in effective.items() if key not in PRIVATE}


class NativeEndedMessages:
    """Encode the messages to a client that resumes a session which ended under a previous server."""

    def __init__(self, session: str) -> None:
        self._session = session

    def resumed_message(self, recovered: ReplayedSession, seen: int, replayed: int) -> Message:
        """Build `session.resumed` from the journal alone. Raises KeyError for another protocol's journal."""
        since = sum(len(entry.samples) for entry in recovered.tail if isinstance(entry, AudioRecord))
        received_ms = (recovered.begun.snapshot.state.received + since) * 1000 // SAMPLE_RATE
        commands = recovered.head["commands"] + recovered.refused
        commands += sum(isinstance(entry, CommandRecord) for entry in recovered.tail)
        return resumed_message(self._session, received_ms, commands, seen, replayed)

    def with_audio(self, message: Mapping[str, Any], samples: Samples | None) -> Mapping[str, Any]:
        """Restore a message that the journal keeps without its audio."""
        return with_audio(message, samples)


class NativeEndpoint(WebSocketEndpoint):
    """Serve sessions at /ws/stt, which clients can resume, also at the next server."""

    async def continue_session(self, name: str, recovered: ReplayedSession, log: SessionJournal) -> None:
        """Continue a session that another server left behind.

        Raises ClientError if its model cannot be used, and KeyError, TypeError, ValueError if its journal is
        not one of this protocol.
        """
        recorder, head = JournalRecorder(log, replaying=True), recovered.head
        config = restore_config(head["preferences"])
        async with AsyncExitStack() as stack:
            models, _ = await self.acquire_models(stack, head["model"])
            driver = StreamDriver(models, config.options, name, begun=recovered.begun)
            protocol = NativeProtocol.restored(
                name, RecordedStream(driver, recorder), head, recovered.refused
            )
            owner: str | None = head["owner"]
            meter = stack.enter_context(self.admission.policy.track_recovered(self.auth.owner(owner)))
            meter.start_at(driver.received)
            stack.callback(lambda: meter.count(driver.received))
            resume_seconds = self.settings.resume_seconds
            if recovered.failed_takeovers >= TAKEOVERS_BEFORE_SHORT_RESUME:
                resume_seconds = min(resume_seconds, SHORT_RESUME_SECONDS)
            session = self.new_session(name, driver, protocol, owner, meter, recorder, resume_seconds)
            stack.enter_context(self.admission.admit(session.stop, driver, force=True))
            with driver, self.registered(session, protocol):
                await session.run_recovered(recovered)

    def keep_ended(
        self, name: str, head: Mapping[str, Any], files: Sequence[Path], disk: JournalStore
    ) -> None:
        """Keep a session that ended under the previous server: its client may still resume it for a while.

        Raises KeyError, TypeError, ValueError if its journal is not one of this protocol.
        """
        key = bytes.fromhex(head["key"])
        encoder = NativeEndedMessages(name)
        session = EndedSession(name, head["owner"], encoder, files, disk, self.settings.resume_bytes)
        self._sessions.add(key, session)
        self._sessions.end(key)

    def open(self, websocket: WebSocket) -> SessionRequest:
        query = dict(websocket.query_params)
        recognizer = self._recognizer(query)
        config = SessionConfig(self.settings.session_options()).merged(session_from_query(query))
        # Only session.created carries the token, so a client that does not receive it cannot resume.
        resumable = self.settings.resume_seconds > 0 and "session.created" in config.events

        def protocol(name: str, stream: StreamInput, description: ModelInfo) -> NativeProtocol:
            token = new_token() if resumable else None
            greeting = self._greeting(description)
            return NativeProtocol(name, stream, config, greeting, model=recognizer, token=token)

        return SessionRequest(recognizer, config.options, protocol, resumable)

    def subprotocol(self, websocket: WebSocket) -> str | None:
        """Accept `stt`, which browsers offer beside `stt-key.KEY`."""
        return SUBPROTOCOL if SUBPROTOCOL in websocket.scope.get("subprotocols", ()) else None

    def resumption(self, websocket: WebSocket) -> ResumeRequest | None:
        query = websocket.query_params
        if "resume" not in query:
            return None
        seen = query.get("ack", "0")
        if not re.fullmatch("[0-9]{1,12}", seen):
            raise ClientError("invalid_value", "`ack` must be the `seq` of a message.", param="ack")
        return ResumeRequest(query["resume"], int(seen))

    def refusal(self, error: ClientError) -> Mapping[str, object]:
        return {**error.as_event(), "event_id": "event_0", "seq": 0}

    def _recognizer(self, query: dict[str, str]) -> str:
        """Return the name of a configured recognizer. Raises ClientError for any other."""
        recognizers = self.engine.recognizers
        asked = query.get("model", recognizers.default)
        name = recognizers.resolve(asked)
        if name is None:
            known = ", ".join(recognizers.names)
            raise ClientError(
                "invalid_value", f"No model {asked[:100]!r} here; known: {known}", param="model"
            )
        return name

    def _greeting(self, description: ModelInfo) -> dict[str, object]:
        return {
            "limits": {"max_message_bytes": self.settings.max_message_bytes},
            "recognizer": dataclasses.asdict(description),
        }
