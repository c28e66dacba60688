"""Parse and check the fields that requests with files and requests for jobs share. Pure."""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Final, TypeVar, get_origin

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

from asr.languages import code_of
from asr.recognizer import MAX_PROMPT_CHARS, TranscriptionOptions, TranscriptionOptionsError
from diarization.clustering import MAX_SPEAKERS, SpeakerBounds, SpeakerBoundsError
from engine.file_transcriber import TimeRange, TimeRangeError
from postprocessing.options import REDACTIONS, TextOptions, TextOptionsError
from server.errors import ApiError, invalid, missing
from server.protocols.json_messages import ANY_CASE
from server.validation import NUMBER, sentence_of

AUTO: Final = "auto"  # as a language: none
IS_JSON: Final = "is_json"  # in the context of a validation


def _number(value: object, info: ValidationInfo) -> object:
    """Refuse what pydantic would convert to a number; the values of forms are all texts."""
    is_json = info.context is not None and info.context[IS_JSON]
    if isinstance(value, bool) or (is_json and isinstance(value, str)):
        raise ValueError(NUMBER)
    return value


Float = Annotated[float, BeforeValidator(_number)]
Int = Annotated[int, BeforeValidator(_number)]


class FileFields(BaseModel):
    """Hold the fields of a request with a file. Unknown names are ignored, unless a protocol forbids them.

    unsplit: names of lists whose values may contain commas
    """

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)
    unsplit: ClassVar[frozenset[str]] = frozenset()

    prompt: str | None = Field(None, description=f"only the last {MAX_PROMPT_CHARS} characters are used")
    temperature: Float = Field(0.0, ge=0, le=1)
    track: Int | None = Field(
        None, ge=0, description="index among the audio tracks of the file; default: the file's default track"
    )
    start: Float = Field(0.0, description="seconds of the file before which nothing is transcribed")
    end: Float | None = Field(None, description="seconds of the file after which nothing is transcribed")
    redact: list[str] = Field(
        [], description=f"what is shown only by its name, some of: {', '.join(REDACTIONS)}"
    )
    profanity_filter: Annotated[bool, ANY_CASE] = Field(
        False, description="replace English swear words by asterisks"
    )
    url: str | None = Field(
        None, description="URL of the file, instead of the file itself; requires FETCH_URLS"
    )

    def text_options(self) -> TextOptions:
        """Return what is done to the texts. Raises ApiError."""
        try:
            # TextOptions checks the names.
            return TextOptions(profanity_filter=self.profanity_filter, redact=tuple(self.redact))  # type: ignore[arg-type]
        except TextOptionsError as error:
            raise invalid(f"Invalid 'redact': {error}.", "redact") from None

    def within(self) -> TimeRange:
        """Return the part of the file to transcribe. Raises ApiError."""
        try:
            return TimeRange(self.start, self.end)
        except TimeRangeError as error:
            raise invalid(f"Invalid '{error.param}': {error}.", error.param) from None

    def recognition(self, hotwords_field: str, /, **chosen: Any) -> TranscriptionOptions:
        """Return the options of the recognizer. Raises ApiError.

        hotwords_field: name of the field with hotwords
        chosen: further options
        """
        prompt = self.prompt and self.prompt[-MAX_PROMPT_CHARS:]
        try:
            return TranscriptionOptions(prompt=prompt, temperature=self.temperature, **chosen)
        except TranscriptionOptionsError as error:
            raise invalid(str(error).replace("hotwords", hotwords_field), hotwords_field) from None


class SpeakerCountFields(BaseModel):
    """Hold the bounds of the number of speakers."""

    min_speakers: Int = Field(1, ge=1, le=MAX_SPEAKERS, description="least number of speakers")
    max_speakers: Int = Field(MAX_SPEAKERS, ge=1, le=MAX_SPEAKERS, description="greatest number of speakers")

    def speaker_bounds(self) -> SpeakerBounds:
        """Return the bounds. Raises ApiError."""
        try:
            return SpeakerBounds(self.min_speakers, self.max_speakers)
        except SpeakerBoundsError as error:
            raise invalid(f"Invalid 'max_speakers': {error}.", "max_speakers") from None


Checked = TypeVar("Checked", bound=FileFields)


def parse_fields(
    kind: type[Checked], fields: Iterable[tuple[str, object]], *, is_json: bool = False
) -> Checked:
    """Return the checked fields of a form or JSON; empty values count as not sent. Raises ApiError.

    is_json: whether they are of JSON, in which a text is no number
    """
    try:
        return kind.model_validate(merge_fields(kind, fields), context={IS_JSON: is_json})
    except ValidationError as error:
        raise _api_error(error, kind) from None


def merge_fields(kind: type[FileFields], fields: Iterable[tuple[str, object]]) -> dict[str, object]:
    """Return one value for each name.

    Lists of `kind` are repeated, with brackets or without; a value without brackets may be a list in JSON, or
    several values with commas. a[b] becomes the key b of the object a.
    Raises ApiError for a field that is no list and was sent with different values: which is meant is unclear.
    The client for Azure sends `model` twice.
    """
    lists = {name for name, field in kind.model_fields.items() if get_origin(field.annotation) is list}
    found: dict[str, Any] = {}
    for name, value in fields:
        base, bracket, key = name.partition("[")
        if value in ("", None):
            continue
        if base in lists:
            is_whole = bracket and isinstance(value, str)
            values = [value] if is_whole else _list_of(base, value, base not in kind.unsplit)
            found.setdefault(base, []).extend(values)
        elif bracket and key != "]":
            nested = found.get(base)
            found[base] = {**(nested if isinstance(nested, dict) else {}), key.removesuffix("]"): value}
        elif found.setdefault(base, value) != value:
            raise invalid(f"Invalid '{base}': it was sent with different values.", base)
    return found


def _list_of(name: str, value: object, split: bool) -> list[object]:
    """Return the elements of a list, of its text in JSON, or with `split` of a text with commas.

    Raises ApiError for a text that begins like a list in JSON and is none.
    """
    if isinstance(value, list):
        return value
    if not isinstance(value, str):
        return [value]
    if value.lstrip().startswith("["):
        try:
            given: list[object] = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise invalid(f"Invalid '{name}': it is not valid JSON: {error}.", name) from None
        return given
    return [part.strip() for part in value.split(",") if part.strip()] if split else [value]


def _api_error(error: ValidationError, kind: type[FileFields]) -> ApiError:
    """Return the API error of the first validation error."""
    faults = error.errors()
    param = str(faults[0]["loc"][0])
    # A value that fits no kind of a union has a fault for each; the deepest is of the kind that was meant.
    first = max((fault for fault in faults if fault["loc"][0] == param), key=lambda fault: len(fault["loc"]))
    if first["type"] == "missing" and len(first["loc"]) == 1:
        return missing(param)
    if first["type"] == "extra_forbidden":
        known = ", ".join(kind.model_fields)
        return invalid(f"Unknown parameter '{param[:100]}'. Known ones: {known}.", param, "unknown_parameter")
    return invalid(f"Invalid '{param}': {sentence_of(first)}.", param)


def language_of(name: str | None) -> str | None:
    """Return the ISO 639-1 code of the field `language`; None for `auto` and for none. Raises ApiError."""
    return None if name is None or name.strip().lower() == AUTO else language_code(name, "language")


def language_code(name: str, param: str) -> str:
    """Return the ISO 639-1 code of a language that a field names. Raises ApiError."""
    code = code_of(name)
    if code is None:
        message = f"Invalid language '{name[:50]}'. Languages are specified in ISO-639-1 format."
        raise invalid(message, param, "invalid_language_format")
    return code
