"""Parse and check the fields of a request of OpenAI's audio API, from a form or JSON. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from asr.languages import code_of
from asr.recognizer import MAX_PROMPT_CHARS, Task, TranscriptionOptions, TranscriptionOptionsError
from diarization.clustering import MAX_SPEAKERS, SpeakerBounds, SpeakerBoundsError
from diarization.known_speakers import MAX_KNOWN
from engine.file_transcriber import WHOLE, TimeRange, TimeRangeError
from postprocessing.options import REDACTIONS, TextOptions, TextOptionsError
from server.errors import ApiError, invalid, missing
from server.protocols.json_messages import ANY_CASE
from server.validation import sentence_of
from streaming.options import SessionOptions
from vad.options import OptionError

Format = Literal["json", "text", "srt", "verbose_json", "vtt", "ass", "md", "docx", "diarized_json"]
LISTS: Final = frozenset(
    {
        *("languages", "keywords", "timestamp_granularities", "include", "redact"),
        *("known_speaker_names", "known_speaker_references"),
    }
)
WITH_COMMAS: Final = frozenset({"known_speaker_names", "known_speaker_references"})  # are not split at them
DIARIZING_MODEL: Final = "gpt-4o-transcribe-diarize"
MAX_NAME_CHARS: Final = 100
# Formats that use the times of words, for cues or to end their segments with a sentence.
TIMED: Final = frozenset({"srt", "vtt", "ass", "md", "docx", "verbose_json", "diarized_json"})
SUMMARIZED: Final = frozenset({"json", "verbose_json", "diarized_json", "md", "docx"})  # have a summary


class _Fields(BaseModel):
    """Ignore unknown names and empty values, as if they had not been sent."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


Checked = TypeVar("Checked", bound=_Fields)


class ServerVadChunking(_Fields):
    """Hold the options of server-side voice detection; VadOptions checks their ranges."""

    type: Annotated[Literal["server_vad"], ANY_CASE]
    threshold: float | None = Field(None, description="speech probability, 0 to 1")
    prefix_padding_ms: int | None = None
    silence_duration_ms: int | None = None


class TranslationFields(_Fields):
    """Hold the fields that transcriptions and translations share."""

    model: str = Field(
        min_length=1,
        max_length=256,
        description="a name of /v1/models; any other name, such as whisper-1, stands for the default",
    )
    prompt: str | None = Field(None, description=f"only the last {MAX_PROMPT_CHARS} characters are used")
    response_format: Annotated[
        Literal["json", "text", "srt", "verbose_json", "vtt", "ass", "md", "docx"], ANY_CASE
    ] = "json"
    temperature: float = Field(0.0, ge=0, le=1)
    track: int | None = Field(
        None, ge=0, description="index among the audio tracks of the file; default: the file's default track"
    )
    start: float = Field(0.0, description="seconds of the file before which nothing is transcribed")
    end: float | None = Field(None, description="seconds of the file after which nothing is transcribed")
    redact: list[str] = Field(
        [], description=f"what is shown only by its name, some of: {', '.join(REDACTIONS)}"
    )
    profanity_filter: Annotated[bool, ANY_CASE] = Field(
        False, description="replace English swear words by asterisks"
    )
    summarize: Annotated[bool, ANY_CASE] = Field(False, description="add a summary to JSON, `md` and `docx`")
    url: str | None = Field(
        None, description="URL of the file, instead of the file itself; requires FETCH_URLS"
    )


class TranscriptionFields(TranslationFields):
    """Hold the fields of a transcription."""

    response_format: Annotated[Format, ANY_CASE] = "json"  # type: ignore[assignment]
    language: str | None = Field(None, description="ISO 639-1 code, or a language's English name")
    languages: list[str] = Field(
        [],
        description="languages among which the model chooses; a single one has the effect of `language`",
    )
    keywords: list[str] = Field([], description="words and phrases that are likely to occur")
    timestamp_granularities: list[Annotated[Literal["word", "segment"], ANY_CASE]] = ["segment"]
    include: list[Annotated[Literal["logprobs"], ANY_CASE]] = []
    stream: Annotated[bool, ANY_CASE] = Field(
        False, description="send server-sent events while the file is being transcribed"
    )
    chunking_strategy: Literal["auto"] | ServerVadChunking | None = None
    diarize: Annotated[bool | None, ANY_CASE] = Field(
        None,
        description="distinguish speakers; default: for diarized_json, and for the model "
        f"{DIARIZING_MODEL}. All segments then come at the end",
    )
    min_speakers: int = Field(1, ge=1, le=MAX_SPEAKERS, description="least number of speakers")
    max_speakers: int = Field(MAX_SPEAKERS, ge=1, le=MAX_SPEAKERS, description="greatest number of speakers")
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
    speakers: how speakers are distinguished; None if they are not
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
    speakers: SpeakerFields | None = None

    @property
    def has_summary(self) -> bool:
        """Return whether a summary is wanted and the format has a place for it."""
        return self.summarize and self.format in SUMMARIZED

    @property
    def task(self) -> Task:
        """Return whether the file is transcribed or translated."""
        return self.session.asr.task


def parse_transcription(
    fields: Iterable[tuple[str, object]], defaults: SessionOptions
) -> TranscriptionRequest:
    """Return the checked options of a transcription. Raises ApiError."""
    given = _checked(TranscriptionFields, fields)
    words = "word" in given.timestamp_granularities
    logprobs = "logprobs" in given.include
    session = replace(_with_strategy(defaults, given.chunking_strategy), text=_text(given))
    speakers = _speakers(given)
    asr = {
        **_languages(given),
        "hotwords": tuple(filter(None, map(str.strip, given.keywords))),
        # With the times of words a segment, which is an event of a stream, ends with a sentence.
        "words": words or logprobs or given.stream or given.response_format in TIMED or speakers is not None,
    }
    return TranscriptionRequest(
        model=given.model,
        session=replace(session, asr=_options(given, asr)),
        format=given.response_format,
        stream=given.stream,
        words=words,
        segments=not words or "segment" in given.timestamp_granularities,
        logprobs=logprobs,
        url=given.url,
        track=given.track,
        within=_within(given),
        summarize=given.summarize,
        speakers=speakers,
    )


def parse_translation(fields: Iterable[tuple[str, object]], defaults: SessionOptions) -> TranscriptionRequest:
    """Return the checked options of a translation into English. Raises ApiError."""
    given = _checked(TranslationFields, fields)
    asr = _options(given, {"task": "translate", "words": given.response_format in TIMED})
    session = replace(defaults.for_file(), asr=asr, text=_text(given))
    return TranscriptionRequest(
        model=given.model,
        session=session,
        format=given.response_format,
        url=given.url,
        track=given.track,
        within=_within(given),
        summarize=given.summarize,
    )


def merge_fields(fields: Iterable[tuple[str, object]]) -> dict[str, object]:
    """Return one value for each name.

    Names of LISTS become a list. They are repeated, with brackets or without; a value without brackets may be
    a list in JSON, or several values with commas. a[b] becomes the key b of the object a.
    """
    found: dict[str, Any] = {}
    for name, value in fields:
        base, bracket, key = name.partition("[")
        if value in ("", None):
            continue
        if base in LISTS:
            found.setdefault(base, []).extend(
                [value] if bracket and isinstance(value, str) else _list_of(value, base not in WITH_COMMAS)
            )
        elif bracket and key != "]":
            nested = found.get(base)
            found[base] = {**(nested if isinstance(nested, dict) else {}), key.removesuffix("]"): value}
        else:
            found[base] = value
    return found


def _list_of(value: object, split: bool) -> list[object]:
    """Return the elements of a list, of its text in JSON, or with `split` of a text with commas."""
    if isinstance(value, list):
        return value
    if not isinstance(value, str):
        return [value]
    try:
        given = orjson.loads(value) if value.lstrip().startswith("[") else None
    except orjson.JSONDecodeError:
        given = None
    if isinstance(given, list):
        return given
    return [part.strip() for part in value.split(",") if part.strip()] if split else [value]


def _checked(kind: type[Checked], fields: Iterable[tuple[str, object]]) -> Checked:
    try:
        return kind.model_validate(merge_fields(fields))
    except ValidationError as error:
        raise _api_error(error) from None


def _api_error(error: ValidationError) -> ApiError:
    """Return the API error of the first validation error."""
    faults = error.errors()
    param = str(faults[0]["loc"][0])
    # A value that fits no kind of a union has a fault for each; the deepest is of the kind that was meant.
    first = max((fault for fault in faults if fault["loc"][0] == param), key=lambda fault: len(fault["loc"]))
    if first["type"] == "missing" and len(first["loc"]) == 1:
        return missing(param)
    return invalid(f"Invalid '{param}': {sentence_of(first)}.", param)


def _speakers(given: TranscriptionFields) -> SpeakerFields | None:
    names, references = given.known_speaker_names, given.known_speaker_references
    if len(names) != len(references):
        message = f"{len(names)} names and {len(references)} references of known speakers were sent."
        raise invalid(message, "known_speaker_references")
    if len(set(names)) < len(names):
        raise invalid("The names of known speakers must differ.", "known_speaker_names")
    try:  # Bounds that contradict each other are an error even if no speakers are wanted.
        bounds = SpeakerBounds(given.min_speakers, given.max_speakers)
    except SpeakerBoundsError as error:
        raise invalid(f"Invalid 'max_speakers': {error}.", "max_speakers") from None
    is_usual = given.response_format == "diarized_json" or given.model == DIARIZING_MODEL
    if given.diarize is False or (given.diarize is None and not (is_usual or names)):
        return None
    known = tuple(zip(names, references, strict=True))
    return SpeakerFields(bounds, known, required=given.diarize is True or bool(names))


def _languages(given: TranscriptionFields) -> dict[str, Any]:
    """Return the language, or the languages among which the model chooses, as options."""
    codes = tuple(dict.fromkeys(_code(name, "languages") for name in given.languages))
    if given.language is not None and given.language.strip().lower() != "auto":
        return {"language": _code(given.language, "language")}
    return {"language": codes[0]} if len(codes) == 1 else {"languages": codes}


def _code(name: str, param: str) -> str:
    code = code_of(name)
    if code is None:
        message = f"Invalid language '{name[:50]}'. Languages are specified in ISO-639-1 format."
        raise invalid(message, param, "invalid_language_format")
    return code


def _options(given: TranslationFields, asr: dict[str, Any]) -> TranscriptionOptions:
    prompt = given.prompt and given.prompt[-MAX_PROMPT_CHARS:]
    try:
        return TranscriptionOptions(prompt=prompt, temperature=given.temperature, **asr)
    except TranscriptionOptionsError as error:
        raise invalid(str(error).replace("hotwords", "keywords"), "keywords") from None


def _text(given: TranslationFields) -> TextOptions:
    try:
        return TextOptions(profanity_filter=given.profanity_filter, redact=tuple(given.redact))  # type: ignore[arg-type]
    except TextOptionsError as error:
        raise invalid(f"Invalid 'redact': {error}.", "redact") from None


def _within(given: TranslationFields) -> TimeRange:
    try:
        return TimeRange(given.start, given.end)
    except TimeRangeError as error:
        raise invalid(f"Invalid '{error.param}': {error}.", error.param) from None


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
