"""Define the messages that the native protocol sends, in the order of their fields on the wire.

They are TypedDicts: plain dicts at run time, checked by mypy (docs/decisions/0015). `seq` and `event_id` are
added when a message is sent. `channel`, from 0 on, is there only where channels are kept apart.
"""

from typing import Any, Literal, NotRequired, TypedDict

from server.errors import ErrorFields
from vad.segmenter import Reason


class SessionCreatedMessage(TypedDict):
    """Begin a session: report its id, the token to resume it, and the configuration in force.

    journaled: whether the session outlives the server
    """

    type: Literal["session.created"]
    session_id: str
    resume_token: str | None
    session: dict[str, object]
    journaled: NotRequired[bool]
    limits: NotRequired[dict[str, int]]
    recognizer: NotRequired[dict[str, Any]]


class SessionResumedMessage(TypedDict):
    """Greet a client that resumes; `seq` repeats the number of the last message that it has seen."""

    type: Literal["session.resumed"]
    session_id: str
    received_ms: int
    received_messages: int
    replayed: int
    seq: int
    event_id: str


class SessionUpdatedMessage(TypedDict):
    """Reply to `session.update` with the configuration in force."""

    type: Literal["session.updated"]
    session: dict[str, object]


class SessionClosedMessage(TypedDict):
    """End a session: report what became of the audio. received_ms is the sum of the next three fields."""

    type: Literal["session.closed"]
    received_ms: int
    speech_ms: int
    non_speech_ms: int
    dropped_ms: int
    segments: int


class SpeechStartedMessage(TypedDict):
    """Report that an utterance begins."""

    type: Literal["input_audio_buffer.speech_started"]
    item_id: str | None
    audio_start_ms: int
    channel: NotRequired[int]


class SpeechStoppedMessage(TypedDict):
    """Report that an utterance ends; its final follows."""

    type: Literal["input_audio_buffer.speech_stopped"]
    item_id: str | None
    audio_end_ms: int
    reason: Reason
    channel: NotRequired[int]


class AudioAcknowledgedMessage(TypedDict):
    """Report how much audio was received."""

    type: Literal["input_audio_buffer.acknowledged"]
    received_ms: int


class AudioDroppedMessage(TypedDict):
    """Reply to `input_audio_buffer.clear`."""

    type: Literal["input_audio_buffer.cleared"]
    start_ms: int
    dropped_ms: int
    channel: NotRequired[int]


class PartialMessage(TypedDict):
    """Report what is recognized so far of the open utterance.

    speaker: who probably speaks; present if the client asked for speakers
    """

    type: Literal["transcript.partial"]
    item_id: str | None
    text: str
    stable_chars: int
    start_ms: int
    channel: NotRequired[int]
    speaker: NotRequired[str | None]


class WordFields(TypedDict):
    """Hold a word of a final; overlap: present, and true, where another person speaks at the same time."""

    word: str
    start_ms: int
    end_ms: int
    confidence: float | None
    speaker: NotRequired[str | None]
    overlap: NotRequired[bool]


class FinalMessage(TypedDict):
    """Report the final of an utterance.

    audio: base64 of PCM16 at `sample_rate`; present only if the client chose it
    words: present only if the client chose them
    speaker: of most of the utterance, null if unknown; present only if the client asked for speakers
    overlap: present, and true, if several people speak at once in it and the client asked for speakers
    """

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
    speaker: NotRequired[str | None]
    overlap: NotRequired[bool]
    channel: NotRequired[int]


class RevisedWordFields(TypedDict):
    """Hold the speaker of a word; the times are those in the final."""

    start_ms: int
    end_ms: int
    speaker: str


class RevisedItemFields(TypedDict):
    """Hold the speaker of a final, and those of its words in order if it has any."""

    item_id: str | None
    speaker: str
    words: NotRequired[list[RevisedWordFields]]


class SpeakersRevisedMessage(TypedDict):
    """Report the finals that have other speakers than was said before."""

    type: Literal["speakers.revised"]
    items: list[RevisedItemFields]


class UtteranceErrorMessage(TypedDict):
    """Report that an utterance could not be recognized; the error takes the place of its final."""

    type: Literal["error"]
    message: str
    item_id: str | None
    start_ms: int
    end_ms: int
    error: ErrorFields
    channel: NotRequired[int]


class MarkerMessage(TypedDict):
    """Report that everything before the client's marker was recognized."""

    type: Literal["marker"]
    id: str


class ServerLagMessage(TypedDict):
    """Report how far recognition is behind, for all streams."""

    type: Literal["server.lag"]
    lag_ms: int
