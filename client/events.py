"""Define the events: one frozen class per message type of docs/protocol.md.

Times are milliseconds from the first sample of the session. `channel` is the number of the channel, from 0
on, where channels are kept apart, else None.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from client.errors import ProtocolError

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FinalWord:
    """Hold a word with its times.

    confidence: 0..1, None if unknown
    speaker: None unless requested; overlap: another person speaks at the same time
    """

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None = None
    speaker: str | None = None
    overlap: bool = False


@dataclass(frozen=True, slots=True)
class Final:
    """The final text of an utterance; each utterance has exactly one.

    audio: audio of the utterance, PCM16 at 16 kHz; None unless requested with include_audio
    words: () unless requested
    speaker: who speaks most of it; None if unknown, and unless requested with diarize or multichannel
    overlap: several people speak at once in it
    """

    text: str
    item_id: str
    start_ms: int
    end_ms: int
    reason: str
    seq: int
    language: str | None = None
    confidence: float | None = None
    words: tuple[FinalWord, ...] = ()
    audio: bytes | None = None
    speaker: str | None = None
    overlap: bool = False
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class RevisedFinal:
    """The speakers of an earlier final; words: (start_ms, end_ms, speaker) of each word, if it has any."""

    item_id: str
    speaker: str
    words: tuple[tuple[int, int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SpeakersRevised:
    """Earlier finals have other speakers than they said; their texts stay."""

    finals: tuple[RevisedFinal, ...]


@dataclass(frozen=True, slots=True)
class Partial:
    """A preliminary text that replaces the last one; its first `stable_chars` characters will not change.

    speaker: who probably speaks; None if unknown, or if the session does not distinguish speakers
    """

    text: str
    item_id: str
    start_ms: int
    stable_chars: int
    channel: int | None = None
    speaker: str | None = None

    @property
    def stable(self) -> str:
        """Return the part of the text that will not change."""
        return self.text[: self.stable_chars]

    @property
    def tail(self) -> str:
        """Return the part of the text that may change."""
        return self.text[self.stable_chars :]


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """An utterance has begun; at_ms: its start, including the pre-roll."""

    item_id: str
    at_ms: int
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """An utterance has ended and its final follows; at_ms: its end."""

    item_id: str
    at_ms: int
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class Marker:
    """Everything sent before the marker has been recognized."""

    id: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The server has received the audio up to received_ms."""

    received_ms: int


@dataclass(frozen=True, slots=True)
class Cleared:
    """The server has executed `clear`.

    dropped_ms: length of the dropped utterance, which gets no final; 0 if none was open
    """

    start_ms: int
    dropped_ms: int
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class Created:
    """The session has begun.

    settings: settings in force
    limits: limits of the server
    recognizer: description of the recognizer, if the server sends it
    resume_token: token for resuming the session, or None
    journaled: whether the session outlives the server
    """

    session_id: str
    settings: Mapping[str, Any]
    limits: Mapping[str, Any]
    recognizer: Mapping[str, Any] | None = None
    resume_token: str | None = None
    journaled: bool = False


@dataclass(frozen=True, slots=True)
class Updated:
    """The settings have changed; settings: those in force from here on, without unknown ones."""

    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """The session has ended; received_ms = speech_ms + non_speech_ms + dropped_ms, up to rounding.

    Sums of all channels, if the stream keeps them apart.
    """

    received_ms: int
    speech_ms: int
    non_speech_ms: int
    dropped_ms: int
    segments: int


@dataclass(frozen=True, slots=True)
class Lag:
    """Recognition of all streams is behind by lag_ms, which delays finals; 0 if it is not behind."""

    lag_ms: int


@dataclass(frozen=True, slots=True)
class ConnectionInterrupted:
    """The connection broke, and the library reconnects; this event does not come from the server.

    code, reason: code and reason of the close; code 1006 without a close frame
    """

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """The stream continues where the connection broke.

    received_ms: milliseconds of audio that the server has received
    replayed: number of missed messages, which follow
    received_messages: number of commands that the server has received; None if it does not report it
    """

    session_id: str
    received_ms: int
    replayed: int
    received_messages: int | None = None


@dataclass(frozen=True, slots=True)
class Error:
    """The server reports an error; the stream continues unless the server closes it."""

    message: str
    code: str | None = None
    param: str | None = None
    event_id: str | None = None
    retryable: bool | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message of a type that this library does not know."""

    type: str
    message: Message


Event = (
    Final
    | SpeakersRevised
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
    """Parse a text frame of the server. Raises ProtocolError."""
    return parse_numbered(text)[1]


def parse_numbered(text: str | bytes) -> tuple[int, Event]:
    """Parse a text frame into its `seq` and event; `seq` is 0 without a session. Raises ProtocolError."""
    try:
        message = json.loads(text)
        kind = message["type"]
        read = READERS.get(kind)
        number = message.get("seq", 0)
        return int(number), read(message) if read else Unknown(kind, message)
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise ProtocolError(f"the server sent an invalid message: {text[:200]!r}") from error


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
        speaker=message.get("speaker"),
        overlap=message.get("overlap", False),
        channel=message.get("channel"),
    )


def _revised(message: Message) -> SpeakersRevised:
    return SpeakersRevised(
        tuple(
            RevisedFinal(
                item["item_id"],
                item["speaker"],
                tuple(
                    (word["start_ms"], word["end_ms"], word["speaker"]) for word in item.get("words") or ()
                ),
            )
            for item in message["items"]
        )
    )


def _word(word: Message) -> FinalWord:
    return FinalWord(
        word["word"],
        word["start_ms"],
        word["end_ms"],
        word.get("confidence"),
        word.get("speaker"),
        word.get("overlap", False),
    )


def _partial(message: Message) -> Partial:
    return Partial(
        message["text"],
        message["item_id"],
        message["start_ms"],
        message["stable_chars"],
        message.get("channel"),
        message.get("speaker"),
    )


def _created(message: Message) -> Created:
    return Created(
        message["session_id"],
        message["session"],
        message.get("limits", {}),
        message.get("recognizer"),
        message.get("resume_token"),
        message.get("journaled", False),
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
    "speakers.revised": _revised,
    "transcript.partial": _partial,
    "input_audio_buffer.speech_started": lambda m: SpeechStarted(
        m["item_id"], m["audio_start_ms"], m.get("channel")
    ),
    "input_audio_buffer.speech_stopped": lambda m: SpeechStopped(
        m["item_id"], m["audio_end_ms"], m.get("channel")
    ),
    "marker": lambda m: Marker(m["id"]),
    "input_audio_buffer.acknowledged": lambda m: Acknowledged(m["received_ms"]),
    "input_audio_buffer.cleared": lambda m: Cleared(m["start_ms"], m["dropped_ms"], m.get("channel")),
    "session.created": _created,
    "session.updated": lambda m: Updated(m["session"]),
    "session.closed": _closed,
    "server.lag": lambda m: Lag(m["lag_ms"]),
    "session.resumed": lambda m: Resumed(
        m["session_id"], m["received_ms"], m["replayed"], m.get("received_messages")
    ),
    "error": _error,
}
