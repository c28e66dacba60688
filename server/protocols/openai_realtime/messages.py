"""Define the messages of OpenAI's Realtime protocol that are read and sent, in the order of their fields.

They are TypedDicts: plain dicts at run time, checked by mypy (docs/decisions/0015). Names and fields are
those of OpenAI's API reference; each docstring names the section there:

- client events: https://platform.openai.com/docs/api-reference/realtime-client-events
- server events: https://platform.openai.com/docs/api-reference/realtime-server-events
- translation events: https://developers.openai.com/api/reference/resources/realtime/translation-client-events
- beta server events: https://platform.openai.com/docs/api-reference/realtime-beta-server-events

Fields of a client event have the type `object`, because a client may send anything; the input checks them.
`event_id` is added to a server event when it is sent. The `error` event is `ErrorEvent` of server/errors.py.
"""

from collections.abc import Mapping
from typing import Literal, NotRequired, TypedDict

# Client events


class ClientEvent(TypedDict):
    """Hold what all client events have in common (client events).

    event_id: id that an error repeats
    """

    type: str
    event_id: NotRequired[object]


class SessionUpdateEvent(ClientEvent):
    """Change settings (client events: `session.update`; beta: `transcription_session.update`).

    session: object of settings in either shape; session_config.py checks them
    """

    session: NotRequired[object]


class InputAudioBufferAppendEvent(ClientEvent):
    """Append audio (client events: `input_audio_buffer.append`; translation events: with `session.`).

    audio: base64 of audio in the session's format
    """

    audio: NotRequired[object]


class InputAudioBufferCommitEvent(ClientEvent):
    """End the item here (client events: `input_audio_buffer.commit`)."""


class InputAudioBufferClearEvent(ClientEvent):
    """Drop the audio that is not committed yet (client events: `input_audio_buffer.clear`)."""


class ConversationItemRetrieveEvent(ClientEvent):
    """Ask for an item with its audio (client events: `conversation.item.retrieve`).

    item_id: a string
    """

    item_id: NotRequired[object]


class ConversationItemDeleteEvent(ClientEvent):
    """Delete an item (client events: `conversation.item.delete`).

    item_id: a string
    """

    item_id: NotRequired[object]


class ResponseCreateEvent(ClientEvent):
    """Ask for a response, which this server refuses (client events: `response.create`)."""


class SessionCloseEvent(ClientEvent):
    """End the session once the speech before is transcribed (translation events: `session.close`)."""


# Settings of a session


class FormatFields(TypedDict):
    """Hold the audio format of a session (client events: `session.update`). rate: Hz, only of PCM."""

    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
    rate: NotRequired[int]


class AudioInputFields(TypedDict):
    """Hold the settings of the input (client events: `session.update`).

    The last three fields contain what the client has set, with the models of session_config.py, and values
    in force.
    """

    format: FormatFields
    transcription: dict[str, object] | None
    noise_reduction: dict[str, object] | None
    turn_detection: dict[str, object] | None


class AudioFields(TypedDict):
    """Hold the `audio` object of a session (client events: `session.update`)."""

    input: AudioInputFields


class SessionFields(TypedDict):
    """Hold the settings that both shapes have (server events: `session.created`).

    model: of a session that is not a transcription session
    """

    id: str
    object: Literal["realtime.session", "realtime.transcription_session"]
    expires_at: int
    include: list[str] | None
    model: NotRequired[str | None]


class NestedSession(SessionFields):
    """Hold the settings in the shape of GA (server events: `session.created`)."""

    type: Literal["transcription", "realtime"]
    audio: AudioFields


class FlatSession(SessionFields):
    """Hold the settings in the flat shape of beta (beta server events: `transcription_session.updated`)."""

    modalities: list[Literal["text"]]
    input_audio_format: str
    input_audio_transcription: dict[str, object] | None
    input_audio_noise_reduction: dict[str, object] | None
    turn_detection: dict[str, object] | None
    client_secret: None


# Server events


class SessionCreatedEvent(TypedDict):
    """Begin the connection (server events: `session.created`; beta: `transcription_session.created`).

    recognizer: description of the model in use; an addition of this server
    """

    type: Literal["session.created", "transcription_session.created"]
    session: NestedSession | FlatSession
    recognizer: Mapping[str, object]


class SessionUpdatedEvent(TypedDict):
    """Reply to a change of settings (server events: `session.updated`; beta: with `transcription_`)."""

    type: Literal["session.updated", "transcription_session.updated"]
    session: NestedSession | FlatSession


class SessionClosedEvent(TypedDict):
    """Reply to `session.close` (translation events: `session.closed`)."""

    type: Literal["session.closed"]


class InputAudioBufferSpeechStartedEvent(TypedDict):
    """Report that an item begins (server events: `input_audio_buffer.speech_started`)."""

    type: Literal["input_audio_buffer.speech_started"]
    audio_start_ms: int
    item_id: str


class InputAudioBufferSpeechStoppedEvent(TypedDict):
    """Report that silence has ended an item (server events: `input_audio_buffer.speech_stopped`)."""

    type: Literal["input_audio_buffer.speech_stopped"]
    audio_end_ms: int
    item_id: str


class InputAudioBufferTimeoutTriggeredEvent(TypedDict):
    """Report silence of `idle_timeout_ms` (server events: `input_audio_buffer.timeout_triggered`)."""

    type: Literal["input_audio_buffer.timeout_triggered"]
    audio_start_ms: int
    audio_end_ms: int
    item_id: str


class InputAudioBufferCommittedEvent(TypedDict):
    """Report that an item is complete audio (server events: `input_audio_buffer.committed`)."""

    type: Literal["input_audio_buffer.committed"]
    item_id: str
    previous_item_id: str | None


class InputAudioBufferClearedEvent(TypedDict):
    """Reply to `input_audio_buffer.clear` (server events: `input_audio_buffer.cleared`)."""

    type: Literal["input_audio_buffer.cleared"]


class InputAudioContent(TypedDict):
    """Hold the content of an item (server events: `conversation.item.retrieved`).

    audio: base64; present only in a retrieved item, null if it is no longer kept
    """

    type: Literal["input_audio"]
    transcript: str | None
    audio: NotRequired[str | None]


class ItemFields(TypedDict):
    """Hold an item of the conversation, a message of the user (server events: `conversation.item.added`)."""

    id: str
    object: Literal["realtime.item"]
    type: Literal["message"]
    status: Literal["completed"]
    role: Literal["user"]
    content: list[InputAudioContent]


ItemEventType = Literal["conversation.item.added", "conversation.item.done", "conversation.item.created"]


class ConversationItemAddedEvent(TypedDict):
    """Report a new item (server events: `conversation.item.added`, then `conversation.item.done`).

    The beta protocol has one event in place of both (beta server events: `conversation.item.created`).
    """

    type: ItemEventType
    item: ItemFields
    previous_item_id: str | None


class ConversationItemRetrievedEvent(TypedDict):
    """Reply to `conversation.item.retrieve` (server events: `conversation.item.retrieved`)."""

    type: Literal["conversation.item.retrieved"]
    item: ItemFields


class ConversationItemDeletedEvent(TypedDict):
    """Reply to `conversation.item.delete` (server events: `conversation.item.deleted`)."""

    type: Literal["conversation.item.deleted"]
    item_id: str


class TranscriptionDeltaEvent(TypedDict):
    """Append to a transcript (server events: `conversation.item.input_audio_transcription.delta`)."""

    type: Literal["conversation.item.input_audio_transcription.delta"]
    item_id: str
    content_index: int
    delta: str


class UsageFields(TypedDict):
    """Hold the duration of an item's audio (server events: the `usage` of `….completed`)."""

    type: Literal["duration"]
    seconds: float


class LanguageFields(TypedDict):
    """Hold a language of an item (server events: the `languages` of `….completed`)."""

    code: str


class LogProbFields(TypedDict):
    """Hold the log probability of a word (server events: the `logprobs` of `….completed`).

    bytes: the token in UTF-8
    """

    token: str
    logprob: float
    bytes: list[int]


class TranscriptionCompletedEvent(TypedDict):
    """Finish a transcript (server events: `conversation.item.input_audio_transcription.completed`).

    languages: present if the recognizer reports the language
    logprobs: present if the client has asked for them; null if they are unknown
    """

    type: Literal["conversation.item.input_audio_transcription.completed"]
    item_id: str
    content_index: int
    transcript: str
    usage: UsageFields
    languages: NotRequired[list[LanguageFields]]
    logprobs: NotRequired[list[LogProbFields] | None]


class TranscriptionErrorFields(TypedDict):
    """Hold the error of an item (server events: the `error` of `….failed`).

    All four fields are strings, because some clients require that.
    """

    type: Literal["transcription_error"]
    code: Literal["transcription_failed"]
    message: str
    param: Literal["audio"]


class TranscriptionFailedEvent(TypedDict):
    """Report a failed item (server events: `conversation.item.input_audio_transcription.failed`)."""

    type: Literal["conversation.item.input_audio_transcription.failed"]
    item_id: str
    content_index: int
    error: TranscriptionErrorFields
