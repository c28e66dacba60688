"""The native door, /ws/stt: docs/protocol.md spoken over one WebSocket."""

import dataclasses
import re
from collections.abc import Mapping, Sequence

from starlette.websockets import WebSocket

from asr.hypothesis import Description
from server.dialect import Message
from server.door import Door, Opening, Resumption
from server.errors import ClientError
from server.intake import Intake
from server.preferences import PRIVATE, Preferences
from server.query import session_from_query
from server.sessions import new_token
from server.wire import Wire
from stream.events import Event
from stream.pump import Pump
from vad.segmenter import Reason


class NativeDialect:
    """One session's. greeting: the server's part of `session.created`; resumable: it may outlive a cut."""

    idle_seconds = None

    def __init__(
        self,
        name: str,
        pump: Pump,
        preferences: Preferences,
        greeting: Mapping[str, object],
        *,
        resumable: bool = False,
    ) -> None:
        # Who does not hear of the token cannot come back with it.
        asked = "session.created" in preferences.events
        self.comeback = self if resumable and asked else None
        self.token = new_token()
        self._name = name
        self._greeting = greeting
        self._intake = Intake(pump, preferences)
        self._wire = Wire(name)

    @property
    def ended(self) -> bool:
        return self._intake.ended

    def greet(self) -> Sequence[Message]:
        preferences = self._intake.preferences
        if "session.created" not in preferences.events:
            return ()
        token = self.token if self.comeback else None
        created = {"type": "session.created", "session_id": self._name, "resume_token": token}
        return [{**created, "session": preferences.effective(), **self._greeting}]

    def receive(self, message: str | bytes) -> Sequence[Message]:
        reply = self._intake.receive(message)
        return () if reply is None else [reply]

    def go_on(self) -> bool:
        return False

    def pause(self) -> None:
        self._intake.pause()

    def welcome(self, seen: int, replayed: int) -> Message:
        return {
            "type": "session.resumed",
            "session_id": self._name,
            "received_ms": self._intake.received_ms,
            "replayed": replayed,
            "seq": seen,
            "event_id": f"event_{self._name}_resumed_{seen}",
        }

    def finish(self, reason: Reason) -> None:
        self._intake.finish(reason)

    def tell(self, event: Event) -> Sequence[Message]:
        message = self._wire.message_of(event, self._intake.preferences)
        return () if message is None else [message]

    def complain(self, error: ClientError) -> Message:
        return error.as_event()

    def stamp(self, message: Message, number: int) -> None:
        message["seq"] = number
        message["event_id"] = f"event_{self._name}_{number}"

    def describe(self) -> Mapping[str, object]:
        effective = self._intake.preferences.effective()
        return {key: value for key, value in effective.items() if key not in PRIVATE}


class NativeDoor(Door):
    """/ws/stt."""

    def open(self, websocket: WebSocket) -> Opening:
        query = dict(websocket.query_params)
        recognizer = self._recognizer(query)
        preferences = Preferences(self.settings.session_options()).merged(session_from_query(query))

        def dialect(name: str, pump: Pump, description: Description) -> NativeDialect:
            greeting, resumable = self._greeting(description), self.settings.resume_seconds > 0
            return NativeDialect(name, pump, preferences, greeting, resumable=resumable)

        return Opening(recognizer, preferences.options, dialect)

    def resumption(self, websocket: WebSocket) -> Resumption | None:
        query = websocket.query_params
        if "resume" not in query:
            return None
        seen = query.get("ack", "0")
        if not re.fullmatch("[0-9]{1,12}", seen):
            raise ClientError("invalid_value", "`ack` must be the `seq` of a message.", param="ack")
        return Resumption(query["resume"], int(seen))

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

    def _greeting(self, description: Description) -> dict[str, object]:
        return {
            "limits": {"max_message_bytes": self.settings.max_message_bytes},
            "recognizer": dataclasses.asdict(description),
        }
