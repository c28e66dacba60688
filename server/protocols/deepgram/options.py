"""Parse and check the options in the URL of Deepgram's API. Pure."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Annotated, Final

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from asr.languages import code_of, codes_of
from asr.recognizer import TranscriptionOptions, TranscriptionOptionsError
from audio.clip import samples_from_ms
from audio.codecs import Encoding, Format
from audio.errors import AudioError
from engine.file_transcriber import WHOLE, TimeRange, TimeRangeError
from postprocessing.options import Redaction, TextOptions, TextOptionsError
from server.errors import CLOSE_BAD_REQUEST, ClientError
from server.protocols.json_messages import ANY_CASE, BOOLEANS
from server.validation import sentence_of
from streaming.options import SessionOptions
from vad.options import RANGES

RAW: Final = {
    "linear16": Format.PCM16,
    "linear32": Format.FLOAT32,
    "mulaw": Format.PCMU,
    "alaw": Format.PCMA,
}
TELEPHONE: Final = frozenset({"mulaw", "alaw"})  # at TELEPHONE_RATE by default
TELEPHONE_RATE: Final = 8_000  # Hz
LISTS: Final = frozenset({"keyterm", "keywords", "tag", "detect_language", "redact", "replace"})
REDACT_NAMES: Final = {"true": "numbers", "credit_card": "pci"}  # other names of our kinds
MAX_WAIT_MS: Final = 60_000


class _Query(BaseModel):
    """Ignore unknown names and empty values, as if they had not been sent."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    model: str | None = Field(None, max_length=256)
    encoding: Annotated[str | None, ANY_CASE] = None
    sample_rate: int | None = None
    channels: int = 1
    language: str | None = None
    detect_language: list[str] = []
    punctuate: bool = False
    smart_format: bool = False
    dictation: bool = False
    interim_results: bool = False
    endpointing: int | bool = Field(True, union_mode="left_to_right")
    utterance_end_ms: int | bool = Field(False, union_mode="left_to_right")
    vad_events: bool = False
    keyterm: list[str] = []
    keywords: list[str] = []
    paragraphs: bool = False
    utterances: bool = False
    utt_split: float = Field(0.8, ge=0, le=60)
    diarize: bool = False
    diarize_model: str | None = None
    tag: list[str] = []
    track: int | None = Field(None, ge=0)
    multichannel: bool = False
    redact: list[str] = []
    replace: list[str] = []
    profanity_filter: bool = False
    numerals: bool = False
    summarize: bool = False
    start: float = 0.0
    end: float | None = None

    @field_validator("summarize", mode="before")
    @classmethod
    def _of_any_version(cls, value: object) -> object:
        return True if isinstance(value, str) and value.lower() == "v2" else value

    @field_validator("endpointing", "utterance_end_ms", mode="wrap")
    @classmethod
    def _check_range(cls, value: object, parse: ValidatorFunctionWrapHandler) -> int | bool:
        with suppress(ValidationError):
            wait: int | bool = parse(value)
            if 0 <= wait <= MAX_WAIT_MS:
                return wait
        raise ValueError(f"it must be false or from 0 to {MAX_WAIT_MS} ms")


@dataclass(frozen=True, slots=True)
class DeepgramOptions:
    """Hold the checked options of one request.

    session: options of the recognition
    encoding: encoding of raw samples; None if the audio has a header
    unsupported_encoding: name of an encoding that is not raw samples
    endpoints: whether a silence that ends an utterance is sent as `speech_final`
    utterance_end: samples without a word after which UtteranceEnd is sent; None for never
    formatted: whether the text keeps punctuation and capitals
    split: seconds without a word that separate two utterances of a file
    track: index of the audio track of a file; None for the default one
    multichannel: whether the channels are transcribed apart
    within: the part of a file to transcribe
    summarized: whether the response has a summary of a file
    """

    model: str | None
    session: SessionOptions
    encoding: Encoding | None = None
    unsupported_encoding: str | None = None
    interim: bool = False
    endpoints: bool = True
    utterance_end: int | None = None
    vad_events: bool = False
    formatted: bool = False
    detects_language: bool = False
    paragraphs: bool = False
    utterances: bool = False
    split: float = 0.8
    diarized: bool = False
    tags: tuple[str, ...] = ()
    track: int | None = None
    multichannel: bool = False
    within: TimeRange = WHOLE
    summarized: bool = False


def parse_options(query: Iterable[tuple[str, str]], defaults: SessionOptions) -> DeepgramOptions:
    """Return the options of a URL query, in which names may be repeated. Raises ClientError."""
    given = _checked(query)
    return DeepgramOptions(
        model=given.model,
        session=_session(given, defaults),
        encoding=_encoding(given),
        unsupported_encoding=None if given.encoding in RAW else given.encoding,
        interim=given.interim_results,
        endpoints=given.endpointing is not False,
        utterance_end=_utterance_end(given.utterance_end_ms),
        vad_events=given.vad_events,
        formatted=given.punctuate or given.smart_format or given.dictation or given.paragraphs,
        detects_language=_detects_language(given),
        paragraphs=given.paragraphs or given.smart_format,
        utterances=given.utterances,
        split=given.utt_split,
        diarized=given.diarize or given.diarize_model is not None,
        tags=tuple(given.tag),
        track=given.track,
        multichannel=given.multichannel,
        within=_within(given),
        summarized=given.summarize,
    )


def with_hotwords(session: SessionOptions, hotwords: Iterable[str]) -> SessionOptions:
    """Return the options with these hotwords, each once. Raises TranscriptionOptionsError."""
    return replace(session, asr=replace(session.asr, hotwords=tuple(dict.fromkeys(filter(None, hotwords)))))


def _checked(query: Iterable[tuple[str, str]]) -> _Query:
    found: dict[str, str | list[str]] = {}
    for name, value in query:
        if name in LISTS:
            found[name] = [*found.get(name, ()), *filter(None, [value.strip()])]
        elif value.strip():
            found[name] = value.strip()
    try:
        return _Query.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise _client_error(f"{name}: {sentence_of(first)}", name) from None


def _client_error(message: str, param: str) -> ClientError:
    return ClientError("invalid_value", message, param=param, close=CLOSE_BAD_REQUEST)


def _session(given: _Query, defaults: SessionOptions) -> SessionOptions:
    """Return the options of the recognition.

    The server's own silence is the minimum, because shorter pauses would split words.
    """
    silence = defaults.vad.silence_ms
    if type(given.endpointing) is int:
        silence = max(silence, min(given.endpointing, int(RANGES["silence_ms"][1])))
    session = replace(
        defaults,
        vad=replace(defaults.vad, silence_ms=silence),
        asr=TranscriptionOptions(language=_language(given), languages=_languages(given), words=True),
        partials=given.interim_results,
        text=_text(given),
    )
    try:
        return with_hotwords(session, [*map(str.strip, given.keyterm), *_boosted_words(given.keywords)])
    except TranscriptionOptionsError as error:
        raise _client_error(str(error), "keyterm") from None


def _text(given: _Query) -> TextOptions:
    """Return what is done to the texts; an unknown kind of redaction is refused, as its text would show."""
    try:
        return TextOptions(
            numerals=given.numerals or given.smart_format,
            replacements=tuple(map(_replacement, given.replace)),
            profanity_filter=given.profanity_filter,
            redact=tuple(_redactions(given.redact)),
        )
    except TextOptionsError as error:
        raise _client_error(str(error), "replace" if "replace" in str(error) else "redact") from None


def _replacement(term: str) -> tuple[str, str]:
    """Return the two sides of `find:replacement`; without a colon the term is removed."""
    found, _, replacement = term.partition(":")
    return found.strip(), replacement.strip()


def _redactions(values: Iterable[str]) -> Iterable[Redaction]:
    for name in (name.strip().lower() for value in values for name in value.split(",")):
        if name and BOOLEANS.get(name) is not False:
            yield REDACT_NAMES.get(name, name)  # type: ignore[misc]  # TextOptions checks it.


def _within(given: _Query) -> TimeRange:
    try:
        return TimeRange(given.start, given.end)
    except TimeRangeError as error:
        raise _client_error(str(error), error.param) from None


def _boosted_words(keywords: Iterable[str]) -> Iterable[str]:
    """Yield the words of `word:intensifier`, except those with a negative intensifier."""
    for keyword in keywords:
        word, _, intensifier = keyword.partition(":")
        if not intensifier.strip().startswith("-"):
            yield word.strip()


def _language(given: _Query) -> str | None:
    if given.language is None or _detects_language(given) or given.language.lower() in ("multi", "auto"):
        return None
    code = code_of(given.language)
    if code is None:
        raise _client_error(f"language: {given.language[:50]!r} is not a known language", "language")
    return code


def _detects_language(given: _Query) -> bool:
    """Return whether `detect_language` is true or names languages; the last value counts."""
    return BOOLEANS.get(given.detect_language[-1].lower(), True) if given.detect_language else False


def _languages(given: _Query) -> tuple[str, ...]:
    """Return the languages that `detect_language` names; () if it names none, or is false."""
    if not _detects_language(given):
        return ()
    try:
        return tuple(codes_of(name for name in given.detect_language if name.lower() not in BOOLEANS))
    except ValueError as error:
        raise _client_error(f"detect_language: {error}", "detect_language") from None


def _encoding(given: _Query) -> Encoding | None:
    if given.encoding not in RAW:
        return None
    rate = given.sample_rate or (TELEPHONE_RATE if given.encoding in TELEPHONE else None)
    if rate is None:
        raise _client_error(f"encoding={given.encoding} needs a sample_rate", "sample_rate")
    try:
        return Encoding(RAW[given.encoding], rate, given.channels)
    except AudioError as error:
        raise _client_error(str(error), error.param) from None


def _utterance_end(wait: int | bool) -> int | None:
    return None if type(wait) is bool else samples_from_ms(wait)
