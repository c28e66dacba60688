"""The native door, /ws/stt: docs/protocol.md spoken over one WebSocket."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, Self

from starlette.websockets import WebSocket

from asr.recognizer import ModelInfo
from audio.clip import SAMPLE_RATE, Samples
from journal.recorder import JournalRecorder, NullRecorder
from journal.records import AudioRecord, CommandRecord, EndRecord
from journal.replay import ReplayedSession
from journal.session_journal import SessionJournal
from journal.store import JournalStore
from server.connection.ended_session import EndedSession
from server.connection.endpoint import ResumeRequest, SessionRequest, WebSocketEndpoint
from server.connection.protocol import Message
from server.connection.session_registry import digest, new_token
from server.errors import ClientError, overloaded
from server.protocols.native.input import ACKNOWLEDGED, NativeInput
from server.protocols.native.output import NativeOutput, welcome, with_audio
from server.protocols.native.session_config import PRIVATE, SessionConfig, session_from_query
from server.protocols.native.session_state import restore_config, save_config
from streaming.driver import StreamDriver
from streaming.events import Event
from vad.segmenter import Reason

SUBPROTOCOL: Final = "stt"
IN_VAIN: Final = 2  # servers that waited in full for the client of one before them; where they end again and
IMPATIENT_SECONDS: Final = 10.0  # again, sessions without clients would become more and more


class NativeProtocol:
    """One session's.

    greeting: the server's part of `session.created`; model: the name of the recognizer
    token: with which the client comes back; None where it cannot. key: its digest, where only that is known
    commands: messages of the session so far that were no sound
    """

    idle_seconds = None

    def __init__(
        self,
        name: str,
        pump: StreamDriver,
        preferences: SessionConfig,
        greeting: Mapping[str, object],
        *,
        model: str = "",
        token: str | None = None,
        key: bytes | None = None,
        recording: NullRecorder | None = None,
        commands: int = 0,
    ) -> None:
        self.key = digest(token or "") if key is None else key
        self._comes_back = token is not None or key is not None
        self.recording = recording or NullRecorder()
        self._token = token
        self._model = model
        self._name = name
        self._greeting = greeting
        self._intake = NativeInput(pump, preferences, self.recording, commands)
        self._wire = NativeOutput(name)

    @classmethod
    def restored(
        cls, name: str, pump: StreamDriver, saved: Mapping[str, Any], recording: NullRecorder, refused: int
    ) -> Self:
        """One that was `saved`. refused: messages since then that are not replayed"""
        return cls(
            name,
            pump,
            restore_config(saved["preferences"]),
            {},
            model=saved["model"],
            key=bytes.fromhex(saved["key"]),
            recording=recording,
            commands=saved["commands"] + refused,
        )

    def saved(self) -> Mapping[str, object]:
        preferences = save_config(self._intake.preferences)
        commands, key = self._intake.commands, self.key.hex()
        return {"preferences": preferences, "commands": commands, "key": key, "model": self._model}

    def replay(self, entry: AudioRecord | CommandRecord | EndRecord) -> Sequence[Message]:
        match entry:
            case AudioRecord(samples):
                self._intake.hear(samples)
            case CommandRecord(text):
                return self.receive(text)
            case EndRecord(reason):
                self._intake.finish(reason)
        return ()

    def is_replayed(self, replies: Sequence[Message]) -> bool:
        return any(reply["type"] != ACKNOWLEDGED for reply in replies)

    @property
    def comeback(self) -> Self | None:
        return self if self._comes_back else None

    @property
    def ended(self) -> bool:
        return self._intake.ended

    def greet(self) -> Sequence[Message]:
        preferences = self._intake.preferences
        if "session.created" not in preferences.events:
            return ()
        created = {"type": "session.created", "session_id": self._name, "resume_token": self._token}
        return [{**created, "session": preferences.effective(), **self._greeting}]

    def receive(self, message: str | bytes) -> Sequence[Message]:
        return _listed(self._intake.receive(message))

    @property
    def has_more(self) -> bool:
        return self._intake.has_more

    def go_on(self) -> Sequence[Message]:
        return _listed(self._intake.go_on())

    def acknowledge(self) -> Sequence[Message]:
        return _listed(self._intake.acknowledge())

    def pause(self) -> None:
        self._intake.pause()

    def welcome(self, seen: int, replayed: int) -> Message:
        return welcome(self._name, self._intake.received_ms, self._intake.commands, seen, replayed)

    def with_audio(self, message: Mapping[str, Any], samples: Samples | None) -> Mapping[str, Any]:
        return with_audio(message, samples)

    def finish(self, reason: Reason) -> None:
        self._intake.finish(reason)

    def tell(self, event: Event) -> Sequence[Message]:
        return _listed(self._wire.message_of(event, self._intake.preferences))

    def complain(self, error: ClientError) -> Message:
        return error.as_event()

    def stamp(self, message: Message, number: int) -> None:
        message["seq"] = number
        message["event_id"] = f"event_{self._name}_{number}"

    def describe(self) -> Mapping[str, object]:
        effective = self._intake.preferences.effective()
        return {key: value for key, value in effective.items() if key not in PRIVATE}


class NativeEndedMessages:
    """The messages to a client that returns to a session which ended under a previous server."""

    def __init__(self, session: str) -> None:
        self._session = session

    def resumed_message(self, past: ReplayedSession, seen: int, replayed: int) -> Message:
        """Build `session.resumed` from the journal alone. Raises KeyError for another protocol's journal."""
        since = sum(len(entry.samples) for entry in past.tail if isinstance(entry, AudioRecord))
        received_ms = (past.begun.snapshot.state.received + since) * 1000 // SAMPLE_RATE
        commands = past.head["commands"] + past.refused
        commands += sum(isinstance(entry, CommandRecord) for entry in past.tail)
        return welcome(self._session, received_ms, commands, seen, replayed)

    def with_audio(self, message: Mapping[str, Any], samples: Samples | None) -> Mapping[str, Any]:
        """Restore a message that the journal keeps without its audio."""
        return with_audio(message, samples)


def _listed(message: Message | None) -> Sequence[Message]:
    return () if message is None else [message]


class NativeEndpoint(WebSocketEndpoint):
    """/ws/stt."""

    def recording(self, name: str) -> NullRecorder:
        """Of a new session. Raises ClientError while none could be kept."""
        store = self._journals.store if self._journals else None
        if store is None:
            return NullRecorder()
        if not store.accepts_new:
            raise overloaded("Sessions cannot be kept at present: there is no room for their journals.")
        return JournalRecorder(store.open(name))

    async def go_on(self, name: str, past: ReplayedSession, log: SessionJournal) -> None:
        """With a session that another server left behind. Raises ClientError where there is no model for it,
        KeyError, TypeError, ValueError where it is none of ours."""
        recording, head = JournalRecorder(log), past.head
        preferences = restore_config(head["preferences"])
        async with AsyncExitStack() as stack:
            models, _ = await self.borrow(stack, head["model"])
            pump = StreamDriver(models, preferences.options, name, begun=past.begun)
            dialect = NativeProtocol.restored(name, pump, head, recording, past.refused)
            owner: str | None = head["owner"]
            meter = stack.enter_context(self.admission.limits.account_again(self.gate.owner(owner)))
            meter.begin_at(pump.session.received)
            stack.callback(lambda: meter.count(pump.session.received))
            patience = self.settings.resume_seconds
            if past.failed_takeovers >= IN_VAIN:
                patience = min(patience, IMPATIENT_SECONDS)
            conversation = self.conversation(name, pump, dialect, owner, meter, patience)
            stack.enter_context(self.admission.admit(conversation.stop, pump, anyway=True))
            with pump, self.remembered(conversation, dialect):
                await conversation.go_on(past)

    def hold(self, name: str, head: Mapping[str, Any], files: Sequence[Path], disk: JournalStore) -> None:
        """A session that was over with the server before: for a while its client may still come back.

        Raises KeyError, TypeError, ValueError where it is none of ours."""
        key = bytes.fromhex(head["key"])
        encoder = NativeEndedMessages(name)
        session = EndedSession(name, head["owner"], encoder, files, disk, self.settings.resume_bytes)
        self._sessions.add(key, session)
        self._sessions.end(key)

    def open(self, websocket: WebSocket) -> SessionRequest:
        query = dict(websocket.query_params)
        recognizer = self._recognizer(query)
        preferences = SessionConfig(self.settings.session_options()).merged(session_from_query(query))

        def dialect(name: str, pump: StreamDriver, description: ModelInfo) -> NativeProtocol:
            greeting = self._greeting(description)
            # Who does not hear of the token cannot come back with it.
            asked = self.settings.resume_seconds > 0 and "session.created" in preferences.events
            token = new_token() if asked else None
            recording = self.recording(name) if asked else NullRecorder()
            return NativeProtocol(
                name, pump, preferences, greeting, model=recognizer, token=token, recording=recording
            )

        return SessionRequest(recognizer, preferences.options, dialect)

    def subprotocol(self, websocket: WebSocket) -> str | None:
        """Browsers offer it beside `stt-key.KEY`, and want it answered."""
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
        return error.as_event() | {"event_id": "event_0", "seq": 0}

    def _recognizer(self, query: dict[str, str]) -> str:
        """Raises ClientError for a name that is none of ours: clients do not choose what is downloaded."""
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
