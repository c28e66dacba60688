"""Define the messages of Deepgram's listen API that are read and sent, in the order of their fields.

They are TypedDicts: plain dicts at run time, checked by mypy (docs/decisions/0015). Names and fields are
those of Deepgram's reference:

- live: https://developers.deepgram.com/reference/speech-to-text/listen-streaming
- files: https://developers.deepgram.com/reference/speech-to-text/listen-pre-recorded
- Configure: https://developers.deepgram.com/docs/configure

Fields of a client's message have the type `object`, because a client may send anything; the endpoint checks
them. Times and durations are in seconds.
"""

from collections.abc import Sequence
from typing import Literal, NotRequired, TypedDict

from postprocessing.summary_types import Method

# Messages of a live client


class KeepAliveMessage(TypedDict):
    """Keep the connection open without audio (live: `ListenV1KeepAlive`)."""

    type: Literal["KeepAlive"]


class FinalizeMessage(TypedDict):
    """End the open utterance here (live: `ListenV1Finalize`). channel: the only one that is meant, if any."""

    type: Literal["Finalize"]
    channel: NotRequired[int]


class CloseStreamMessage(TypedDict):
    """End the audio (live: `ListenV1CloseStream`)."""

    type: Literal["CloseStream"]


class ConfigureMessage(TypedDict):
    """Change options of the open stream (Configure).

    keyterms: list of strings, the new hotwords; absent or null to keep the present ones
    """

    type: Literal["Configure"]
    keyterms: NotRequired[object]


# Objects that live messages and the response for a file share


class ModelInfoFields(TypedDict):
    """Hold the description of a model (live: `metadata.model_info` of `ListenV1Results`)."""

    name: str
    version: str
    arch: str


class DeepgramWord(TypedDict):
    """Hold a word (live: `channel.alternatives.words` of `ListenV1Results`).

    speaker: present if the client asked for speakers
    punctuated_word: present if the client asked for punctuation
    """

    word: str
    start: float
    end: float
    confidence: float | None
    speaker: NotRequired[int]
    punctuated_word: NotRequired[str]


class SentenceFields(TypedDict):
    """Hold a sentence (files: `results.channels.alternatives.paragraphs.paragraphs.sentences`)."""

    text: str
    start: float
    end: float


class ParagraphFields(TypedDict):
    """Hold a paragraph (files: `results.channels.alternatives.paragraphs.paragraphs`)."""

    sentences: list[SentenceFields]
    speaker: int
    num_words: int
    start: float
    end: float


class ParagraphsFields(TypedDict):
    """Hold all paragraphs; an empty line separates them in `transcript` (files: `….paragraphs`)."""

    transcript: str
    paragraphs: list[ParagraphFields]


class AlternativeFields(TypedDict):
    """Hold a transcript (live: `channel.alternatives`; files: `results.channels.alternatives`).

    paragraphs: only of a file, if the client asked for them
    """

    transcript: str
    confidence: float
    words: list[DeepgramWord]
    paragraphs: NotRequired[ParagraphsFields]


class ChannelFields(TypedDict):
    """Hold what was recognized in a channel (live: `channel`; files: `results.channels`).

    detected_language: only of a file, if the client asked for it and it is known
    """

    alternatives: list[AlternativeFields]
    detected_language: NotRequired[str]


# Messages to a live client


class SpeechStartedMessage(TypedDict):
    """Report that an utterance begins (live: `ListenV1SpeechStarted`). channel: number of it, and of all."""

    type: Literal["SpeechStarted"]
    channel: tuple[int, int]
    timestamp: float


class ResultsMetadata(TypedDict):
    """Hold the `metadata` of Results (live: `ListenV1Results`).

    ignored: options that the model does not support, if there are any; an addition of this server
    """

    request_id: str
    model_info: ModelInfoFields
    model_uuid: str
    ignored: NotRequired[Sequence[str]]


class ResultsMessage(TypedDict):
    """Report a partial or a final (live: `ListenV1Results`). channel_index: number of the channel, of all."""

    type: Literal["Results"]
    channel_index: tuple[int, int]
    duration: float
    start: float
    is_final: bool
    speech_final: bool
    channel: ChannelFields
    metadata: ResultsMetadata
    from_finalize: bool


class UtteranceEndMessage(TypedDict):
    """Report a gap after the last word (live: `ListenV1UtteranceEnd`). channel: number of it, and of all."""

    type: Literal["UtteranceEnd"]
    channel: tuple[int, int]
    last_word_end: float


class MetadataMessage(TypedDict):
    """End the session (live: `ListenV1Metadata`).

    sha256: hash of all received bytes, in hex
    model_info: by the ids in `models`
    """

    type: Literal["Metadata"]
    transaction_key: Literal["deprecated"]
    request_id: str
    sha256: str
    created: str
    duration: float
    channels: int
    models: list[str]
    model_info: dict[str, ModelInfoFields]


class ConfigureSuccessMessage(TypedDict):
    """Confirm a change (Configure: `ConfigureSuccess`). keyterms: present if they were replaced."""

    type: Literal["ConfigureSuccess"]
    request_id: str
    keyterms: NotRequired[list[str]]


class ConfigureFailureMessage(TypedDict):
    """Refuse a change (Configure: `ConfigureFailure`)."""

    type: Literal["ConfigureFailure"]
    request_id: str
    code: str
    description: str


class ErrorMessage(TypedDict):
    """Report an error (https://developers.deepgram.com/docs/errors: errors of the WebSocket).

    variant: SchemaError, transcription_failed or the reason of the close that follows
    """

    type: Literal["Error"]
    variant: str
    description: str


# Responses over HTTP


class WarningFields(TypedDict):
    """Hold a warning about the file (files: `metadata.warnings`). The type is an addition of this server."""

    parameter: Literal["file"]
    type: Literal["incomplete_audio"]
    message: str


class FileMetadata(TypedDict):
    """Hold the `metadata` of the response for a file (files).

    sha256: hash of the file, in hex
    model_info: by the ids in `models`
    ignored: options that the model does not support, if there are any; an addition of this server
    filtered: segments whose text the filter removed or shortened, if there are any; an addition, too
    warnings: what may be missing of the audio, if there is anything
    """

    transaction_key: Literal["deprecated"]
    request_id: str
    sha256: str
    created: str
    duration: float
    channels: int
    models: list[str]
    model_info: dict[str, ModelInfoFields]
    tags: NotRequired[Sequence[str]]
    ignored: NotRequired[list[str]]
    filtered: NotRequired[list[dict[str, object]]]
    warnings: NotRequired[list[WarningFields]]


class UtteranceFields(TypedDict):
    """Hold an utterance of a file (files: `results.utterances`).

    speaker: present if the client asked for speakers
    """

    start: float
    end: float
    confidence: float
    channel: int
    transcript: str
    words: list[DeepgramWord]
    id: str
    speaker: NotRequired[int]


class SummaryFields(TypedDict):
    """Hold the summary of a file (files: `results.summary`).

    result: success, also if the text is empty because nothing was said
    method: model, or extractive for sentences that were chosen; an addition of this server
    """

    result: Literal["success"]
    short: str
    method: Method


class FileResults(TypedDict):
    """Hold the `results` of the response for a file (files).

    utterances, summary: present if the client asked for them
    """

    channels: list[ChannelFields]
    utterances: NotRequired[list[UtteranceFields]]
    summary: NotRequired[SummaryFields]


class FileTranscription(TypedDict):
    """Hold the response for a file (files)."""

    metadata: FileMetadata
    results: FileResults


def error_code(code: str) -> str:
    """Return the `err_code` of a refusal."""
    return "INVALID_AUTH" if code == "invalid_api_key" else code.upper()


class RequestError(TypedDict):
    """Hold the response for a request that is refused (https://developers.deepgram.com/docs/errors).

    request_id: absent in the refusal of a WebSocket
    """

    err_code: str
    err_msg: str
    request_id: NotRequired[str]
