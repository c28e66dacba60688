"""Define the messages that the native protocol sends, in the order of their fields on the wire.

They are TypedDicts: plain dicts at run time, checked by mypy (docs/decisions/0015). `seq` and `event_id` are
added when a message is sent.
"""

from typing import Any, Literal, NotRequired, TypedDict

from vad.segmenter import Reason


class SessionCreated(TypedDict):
    """The first message of a session: its id, the token to resume it, and the configuration in force."""

    type: Literal["session.created"]
    session_id: str
    resume_token: str | None
    session: dict[str, object]
    limits: NotRequired[dict[str, int]]
    recognizer: NotRequired[dict[str, Any]]


class SessionResumed(TypedDict):
    """The first message to a client that resumes; it repeats the number of the last message seen."""

    type: Literal["session.resumed"]
    session_id: str
    received_ms: int
    received_messages: int
    replayed: int
    seq: int
    event_id: str


class SessionUpdated(TypedDict):
    """The reply to `session.update`: the configuration in force."""

    type: Literal["session.updated"]
    session: dict[str, object]


class SessionClosed(TypedDict):
    """The last message: what became of the audio. received_ms is the sum of the next three."""

    type: Literal["session.closed"]
    received_ms: int
    speech_ms: int
    non_speech_ms: int
    dropped_ms: int
    segments: int


class SpeechStarted(TypedDict):
    """An utterance begins."""

    type: Literal["input_audio_buffer.speech_started"]
    item_id: str | None
    audio_start_ms: int


class SpeechStopped(TypedDict):
    """An utterance ends; its final follows."""

    type: Literal["input_audio_buffer.speech_stopped"]
    item_id: str | None
    audio_end_ms: int
    reason: Reason


class AudioAcknowledged(TypedDict):
    """How much audio was received."""

    type: Literal["input_audio_buffer.acknowledged"]
    received_ms: int


class AudioDropped(TypedDict):
    """The reply to `input_audio_buffer.clear`."""

    type: Literal["input_audio_buffer.cleared"]
    start_ms: int
    dropped_ms: int


class Partial(TypedDict):
    """What is recognized so far of the open utterance."""

    type: Literal["transcript.partial"]
    item_id: str | None
    text: str
    stable_chars: int
    start_ms: int


class WordFields(TypedDict):
    """A word of a final."""

    word: str
    start_ms: int
    end_ms: int
    confidence: float | None


class Transcript(TypedDict):
    """The final of an utterance. audio: base64 of PCM16 at `sample_rate`; audio and words only if chosen."""

    type: Literal["response.audio_transcript.done"]
    transcript: str
    sample_rate: int
    item_id: str | None
    previous_item_id: str | None
    response_id: str
    output_index: int
    content_index: int
    start_ms: int
    end_ms: int
    language: str | None
    language_probability: float | None
    confidence: float | None
    reason: Reason
    guard: str | None
    ignored: tuple[str, ...]
    audio: NotRequired[str]
    words: NotRequired[list[WordFields]]


class ErrorFields(TypedDict):
    """The `error` object, which is OpenAI's and ours at once."""

    type: Literal["server_error", "invalid_request_error"]
    code: str
    message: str
    param: str | None
    event_id: str | None
    retryable: bool


class UtteranceError(TypedDict):
    """The error that takes the place of a final that could not be recognized."""

    type: Literal["error"]
    message: str
    item_id: str | None
    start_ms: int
    end_ms: int
    error: ErrorFields


class Marker(TypedDict):
    """Everything before the client's marker was recognized."""

    type: Literal["marker"]
    id: str


class ServerLag(TypedDict):
    """How far recognition is behind, for all streams."""

    type: Literal["server.lag"]
    lag_ms: int
