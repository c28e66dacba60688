"""What the server tells: one frozen class per message type of docs/protocol.md. Times are milliseconds from
the first sample of the session."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from client.errors import ProtocolError

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Word:
    """confidence: 0..1, None when unknown."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Final:
    """The one and only text of an utterance.

    audio: the utterance's sound, PCM16 at 16 kHz; None unless asked for with include_audio
    words: () unless asked for
    """

    text: str
    item_id: str
    start_ms: int
    end_ms: int
    reason: str
    seq: int
    language: str | None = None
    confidence: float | None = None
    words: tuple[Word, ...] = ()
    audio: bytes | None = None


@dataclass(frozen=True, slots=True)
class Partial:
    """Replaces the utterance's partial before it. The first `stable_chars` characters will not change."""

    text: str
    item_id: str
    start_ms: int
    stable_chars: int

    @property
    def stable(self) -> str:
        return self.text[: self.stable_chars]

    @property
    def tail(self) -> str:
        return self.text[self.stable_chars :]


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """at_ms: first sample of the utterance, pre-roll included."""

    item_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """at_ms: end of the utterance's segment. Its final follows."""

    item_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Marker:
    """Everything sent before the marker has been recognised."""

    id: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    received_ms: int


@dataclass(frozen=True, slots=True)
class Cleared:
    """`clear` was obeyed. dropped_ms: of the open utterance, which gets no final; 0 if there was none."""

    start_ms: int
    dropped_ms: int


@dataclass(frozen=True, slots=True)
class Created:
    """settings: those in force; limits: the server's bounds; recognizer: what runs there, if it says so."""

    session_id: str
    settings: Mapping[str, Any]
    limits: Mapping[str, Any]
    recognizer: Mapping[str, Any] | None = None
    resume_token: str | None = None


@dataclass(frozen=True, slots=True)
class Updated:
    """settings: those in force from here on; what the server does not know is absent."""

    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """received_ms = speech_ms + non_speech_ms + dropped_ms, up to rounding."""

    received_ms: int
    speech_ms: int
    non_speech_ms: int
    dropped_ms: int
    segments: int


@dataclass(frozen=True, slots=True)
class Lag:
    """Recognition is so far behind, for all streams: finals come later by about as much. 0 when it is not."""

    lag_ms: int


@dataclass(frozen=True, slots=True)
class ConnectionInterrupted:
    """The connection broke, and the library sets out to come back: its own event, not one of the server.

    code, reason: of the close; 1006 when there was none
    """

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """The stream goes on where it was cut.

    replayed: how many messages were missed; they follow
    received_messages: of the client, that were no sound; None where the server does not say
    """

    session_id: str
    received_ms: int
    replayed: int
    received_messages: int | None = None


@dataclass(frozen=True, slots=True)
class Error:
    """The stream goes on unless the server closes it next."""

    message: str
    code: str | None = None
    param: str | None = None
    event_id: str | None = None
    retryable: bool | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message of a type that this library does not know; harmless."""

    type: str
    message: Message


Event = (
    Final
    | Partial
    | SpeechStarted
    | SpeechStopped
    | Marker
    | Acknowledged
    | Cleared
    | Created
    | Updated
    | SessionClosed
    | Lag
    | ConnectionInterrupted
    | Resumed
    | Error
    | Unknown
)


def parse(text: str | bytes) -> Event:
    """One text frame of the server as an event. Raises ProtocolError."""
    return parse_numbered(text)[1]


def parse_numbered(text: str | bytes) -> tuple[int, Event]:
    """The same with its `seq`; 0 for a message that belongs to no session. Raises ProtocolError."""
    try:
        message = json.loads(text)
        kind = message["type"]
        read = READERS.get(kind)
        number = message.get("seq", 0)
        return int(number), read(message) if read else Unknown(kind, message)
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise ProtocolError(f"not a message of the protocol: {text[:200]!r}") from error


def _final(message: Message) -> Final:
    audio = message.get("audio")
    return Final(
        text=message["transcript"],
        item_id=message["item_id"],
        start_ms=message["start_ms"],
        end_ms=message["end_ms"],
        reason=message["reason"],
        seq=message["seq"],
        language=message.get("language"),
        confidence=message.get("confidence"),
        words=tuple(_word(word) for word in message.get("words") or ()),
        audio=None if audio is None else base64.b64decode(audio, validate=True),
    )


def _word(word: Message) -> Word:
    return Word(word["word"], word["start_ms"], word["end_ms"], word.get("confidence"))


def _partial(message: Message) -> Partial:
    return Partial(message["text"], message["item_id"], message["start_ms"], message["stable_chars"])


def _created(message: Message) -> Created:
    return Created(
        message["session_id"],
        message["session"],
        message.get("limits", {}),
        message.get("recognizer"),
        message.get("resume_token"),
    )


def _closed(message: Message) -> SessionClosed:
    return SessionClosed(
        message["received_ms"],
        message["speech_ms"],
        message["non_speech_ms"],
        message["dropped_ms"],
        message["segments"],
    )


def _error(message: Message) -> Error:
    detail = message.get("error") or {}
    text = message.get("message") or detail["message"]
    return Error(
        text, detail.get("code"), detail.get("param"), detail.get("event_id"), detail.get("retryable")
    )


READERS: Mapping[str, Callable[[Message], Event]] = {
    "response.audio_transcript.done": _final,
    "transcript.partial": _partial,
    "input_audio_buffer.speech_started": lambda m: SpeechStarted(m["item_id"], m["audio_start_ms"]),
    "input_audio_buffer.speech_stopped": lambda m: SpeechStopped(m["item_id"], m["audio_end_ms"]),
    "marker": lambda m: Marker(m["id"]),
    "input_audio_buffer.acknowledged": lambda m: Acknowledged(m["received_ms"]),
    "input_audio_buffer.cleared": lambda m: Cleared(m["start_ms"], m["dropped_ms"]),
    "session.created": _created,
    "session.updated": lambda m: Updated(m["session"]),
    "session.closed": _closed,
    "server.lag": lambda m: Lag(m["lag_ms"]),
    "session.resumed": lambda m: Resumed(
        m["session_id"], m["received_ms"], m["replayed"], m.get("received_messages")
    ),
    "error": _error,
}
