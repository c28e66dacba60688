"""Parse and check the fields of a request of OpenAI's audio API, from a form or JSON. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from asr.recognizer import Task
from diarization.clustering import SpeakerBounds
from diarization.known_speakers import MAX_KNOWN
from engine.file_transcriber import WHOLE, TimeRange
from server.errors import invalid
from server.protocols.file_fields import (
    FileFields,
    Float,
    Int,
    SpeakerCountFields,
    language_code,
    language_of,
    parse_fields,
)
from server.protocols.json_messages import ANY_CASE
from streaming.options import SessionOptions
from vad.options import OptionError

Format = Literal["json", "text", "srt", "verbose_json", "vtt", "ass", "md", "docx", "diarized_json"]
HOTWORDS: Final = "keywords"  # name of the field
DIARIZING_MODEL: Final = "gpt-4o-transcribe-diarize"
MAX_NAME_CHARS: Final = 100
# Formats that use the times of words, for cues or to end their segments with a sentence.
TIMED: Final = frozenset({"srt", "vtt", "ass", "md", "docx", "verbose_json", "diarized_json"})
SUMMARIZED: Final = frozenset({"json", "verbose_json", "diarized_json", "md", "docx"})  # have a summary
DIVIDED: Final = SUMMARIZED - {"json"}  # have chapters: formats with times


class ServerVadChunking(BaseModel):
    """Hold the options of server-side voice detection; VadOptions checks their ranges."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    type: Annotated[Literal["server_vad"], ANY_CASE]
    threshold: Float | None = Field(None, description="speech probability, 0 to 1")
    prefix_padding_ms: Int | None = None
    silence_duration_ms: Int | None = None


class TranslationFields(FileFields):
    """Hold the fields that transcriptions and translations share."""

    model: str = Field(
        min_length=1,
        max_length=256,
        description="a name of /v1/models; any other name, such as whisper-1, stands for the default",
    )
    response_format: Annotated[
        Literal["json", "text", "srt", "verbose_json", "vtt", "ass", "md", "docx"], ANY_CASE
    ] = "json"
    summarize: Annotated[bool, ANY_CASE] = Field(False, description="add a summary to JSON, `md` and `docx`")
    chapters: Annotated[bool, ANY_CASE] = Field(
        False, description="add chapters to `verbose_json`, `diarized_json`, `md` and `docx`"
    )


class TranscriptionFields(SpeakerCountFields, TranslationFields):
    """Hold the fields of a transcription."""

    unsplit: ClassVar[frozenset[str]] = frozenset({"known_speaker_names", "known_speaker_references"})

    response_format: Annotated[Format, ANY_CASE] = "json"  # type: ignore[assignment]
    language: str | None = Field(None, description="ISO 639-1 code, or a language's English name")
    languages: list[str] = Field(
        [],
        description="languages among which the model chooses; a single one has the effect of `language`",
    )
    keywords: list[str] = Field([], description="words and phrases that are likely to occur")
    timestamp_granularities: list[Annotated[Literal["word", "segment"], ANY_CASE]] = Field(["segment"])
    include: list[Annotated[Literal["logprobs"], ANY_CASE]] = Field([])
    stream: Annotated[bool, ANY_CASE] = Field(
        False, description="send server-sent events while the file is being transcribed"
    )
    chunking_strategy: Literal["auto"] | ServerVadChunking | None = None
    diarize: Annotated[bool | None, ANY_CASE] = Field(
        None,
        description="distinguish speakers; default: for diarized_json, and for the model "
        f"{DIARIZING_MODEL}. All segments then come at the end",
    )
    multichannel: Annotated[bool, ANY_CASE] = Field(
        False,
        description="transcribe each channel apart, as the speech of one speaker: A for the first channel. "
        "All segments then come at the end",
    )
    known_speaker_names: list[Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_CHARS)]] = (
        Field([], max_length=MAX_KNOWN, description="names for the speakers of known_speaker_references")
    )
    known_speaker_references: list[str] = Field(
        [],
        max_length=MAX_KNOWN,
        description="a clip of each known speaker, 1 to 10 s of audio as a data URL in base64",
    )

    @field_validator("chunking_strategy", mode="before")
    @classmethod
    def _from_json(cls, strategy: object) -> object:
        if not isinstance(strategy, str):
            return strategy
        if strategy.strip().lower() == "auto":
            return "auto"
        if not strategy.lstrip().startswith("{"):
            raise ValueError("it must be 'auto' or an object with the type 'server_vad'")
        try:
            return orjson.loads(strategy)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"it is not valid JSON: {error}") from None


@dataclass(frozen=True, slots=True)
class SpeakerFields:
    """Hold what a request wants to know about speakers.

    known: names, and clips as data URLs
    required: whether a server that does not distinguish speakers must refuse the request
    """

    bounds: SpeakerBounds
    known: tuple[tuple[str, str], ...] = ()
    required: bool = False


@dataclass(frozen=True, slots=True)
class TranscriptionRequest:
    """Hold the checked options of one request.

    session: options of the recognition
    words, segments, logprobs: whether the response contains them
    url: address of the file, if the request does not contain the file
    track: index of the audio track; None for the default one
    within: the part of the file to transcribe
    summarize: whether the response contains a summary
    chapters: whether it contains chapters
    speakers: how speakers are distinguished; None if they are not
    multichannel: whether the channels are transcribed apart
    """

    model: str
    session: SessionOptions
    format: Format = "json"
    stream: bool = False
    words: bool = False
    segments: bool = True
    logprobs: bool = False
    url: str | None = None
    track: int | None = None
    within: TimeRange = WHOLE
    summarize: bool = False
    chapters: bool = False
    speakers: SpeakerFields | None = None
    multichannel: bool = False

    @property
    def task(self) -> Task:
        """Return whether the file is transcribed or translated."""
        return self.session.asr.task


def parse_transcription(
    fields: Iterable[tuple[str, object]], defaults: SessionOptions, *, is_json: bool = False
) -> TranscriptionRequest:
    """Return the checked options of a transcription. Raises ApiError.

    is_json: whether the fields are of JSON, in which a text is no number
    """
    given = parse_fields(TranscriptionFields, fields, is_json=is_json)
    _check_additions(given)
    words = "word" in given.timestamp_granularities
    logprobs = "logprobs" in given.include
    session = replace(_with_strategy(defaults, given.chunking_strategy), text=given.text_options())
    speakers = None if given.multichannel else _speakers(given)
    asr = {
        **_languages(given),
        "hotwords": tuple(filter(None, map(str.strip, given.keywords))),
        # With the times of words a segment, which is an event of a stream, ends with a sentence.
        "words": words or logprobs or given.stream or given.response_format in TIMED or speakers is not None,
    }
    return TranscriptionRequest(
        model=given.model,
        session=replace(session, asr=given.recognition(HOTWORDS, **asr)),
        format=given.response_format,
        stream=given.stream,
        words=words,
        segments=not words or "segment" in given.timestamp_granularities,
        logprobs=logprobs,
        url=given.url,
        track=given.track,
        within=given.within(),
        summarize=given.summarize,
        chapters=given.chapters,
        speakers=speakers,
        multichannel=given.multichannel,
    )


def parse_translation(
    fields: Iterable[tuple[str, object]], defaults: SessionOptions, *, is_json: bool = False
) -> TranscriptionRequest:
    """Return the checked options of a translation into English. Raises ApiError.

    is_json: whether the fields are of JSON, in which a text is no number
    """
    given = parse_fields(TranslationFields, fields, is_json=is_json)
    _check_additions(given)
    asr = given.recognition(HOTWORDS, task="translate", words=given.response_format in TIMED)
    session = replace(defaults.for_file(), asr=asr, text=given.text_options())
    return TranscriptionRequest(
        model=given.model,
        session=session,
        format=given.response_format,
        url=given.url,
        track=given.track,
        within=given.within(),
        summarize=given.summarize,
        chapters=given.chapters,
    )


def _check_additions(given: TranslationFields) -> None:
    """Refuse a summary or chapters for which the format has no place. Raises ApiError."""
    for name, formats in (("summarize", SUMMARIZED), ("chapters", DIVIDED)):
        if getattr(given, name) and given.response_format not in formats:
            message = f"'{name}' needs a 'response_format' of {', '.join(sorted(formats))}."
            raise invalid(message, name, "unsupported_value")


def _speakers(given: TranscriptionFields) -> SpeakerFields | None:
    names, references = given.known_speaker_names, given.known_speaker_references
    if len(names) != len(references):
        message = f"{len(names)} names and {len(references)} references of known speakers were sent."
        raise invalid(message, "known_speaker_references")
    if len(set(names)) < len(names):
        raise invalid("The names of known speakers must differ.", "known_speaker_names")
    bounds = given.speaker_bounds()  # Also without speakers, contradicting bounds are an error.
    is_usual = given.response_format == "diarized_json" or given.model == DIARIZING_MODEL
    if given.diarize is False or (given.diarize is None and not (is_usual or names)):
        return None
    known = tuple(zip(names, references, strict=True))
    return SpeakerFields(bounds, known, required=given.diarize is True or bool(names))


def _languages(given: TranscriptionFields) -> dict[str, Any]:
    """Return the language, or the languages among which the model chooses, as options."""
    codes = tuple(dict.fromkeys(language_code(name, "languages") for name in given.languages))
    if (language := language_of(given.language)) is not None:
        return {"language": language}
    return {"language": codes[0]} if len(codes) == 1 else {"languages": codes}


def _with_strategy(defaults: SessionOptions, strategy: str | ServerVadChunking | None) -> SessionOptions:
    if not isinstance(strategy, ServerVadChunking):
        return defaults.for_file()
    values = {
        "threshold": strategy.threshold,
        "prefix_ms": strategy.prefix_padding_ms,
        "silence_ms": strategy.silence_duration_ms,
    }
    changes: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    try:
        return replace(defaults, vad=replace(defaults.vad, **changes))
    except OptionError as error:
        raise invalid(f"Invalid 'chunking_strategy': {error}.", "chunking_strategy") from None
