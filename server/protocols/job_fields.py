"""Parse the fields that requests for jobs share, from a form or JSON. Pure."""

from collections.abc import Iterable
from typing import Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from asr.languages import code_of
from asr.recognizer import MAX_PROMPT_CHARS, TranscriptionOptions, TranscriptionOptionsError
from diarization.clustering import MAX_SPEAKERS, SpeakerBounds, SpeakerBoundsError
from jobs.job import JobOptions, JobPriority
from postprocessing.options import REDACTIONS, TextOptions, TextOptionsError
from server.errors import ApiError, invalid, missing
from server.validation import sentence_of

LISTS: Final = frozenset({"hotwords", "redact"})
MAX_URL: Final = 2_000  # characters
MAX_METADATA: Final = 2_000  # characters


class JobFields(BaseModel):
    """Hold the fields of a job."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    url: str | None = Field(None, max_length=MAX_URL, description="http(s) address of the file")
    model: str = Field(
        "", max_length=256, description="a name of /v1/models; any other name stands for the default model"
    )
    language: str | None = Field(None, description="ISO 639-1 code, or a language's English name")
    prompt: str | None = Field(None, description=f"only the last {MAX_PROMPT_CHARS} characters are used")
    hotwords: list[str] = Field([], description="words and phrases that are likely to occur")
    words: bool = Field(True, description="whether the transcript has the times of words")
    task: Literal["transcribe", "translate"] = "transcribe"
    temperature: float = Field(0.0, ge=0, le=1)
    start: float | None = Field(None, ge=0, description="second of the file at which the transcript begins")
    end: float | None = Field(None, gt=0, description="second of the file at which the transcript ends")
    track: int | None = Field(None, ge=0, le=100, description="number of the audio track, from 0 on")
    redact: list[str] = Field(
        [], description=f"what is stored only by its name, some of: {', '.join(REDACTIONS)}"
    )
    profanity_filter: bool = Field(False, description="replace English swear words by asterisks")
    diarize: bool = Field(False, description="name the speakers, once the whole file was heard")
    min_speakers: int = Field(1, ge=1, le=MAX_SPEAKERS, description="least number of speakers")
    max_speakers: int = Field(MAX_SPEAKERS, ge=1, le=MAX_SPEAKERS, description="greatest number of speakers")
    callback: str | None = Field(
        None, max_length=MAX_URL, description="http(s) address to which the end of the job is reported"
    )
    metadata: str = Field("", max_length=MAX_METADATA, description="text that is returned unchanged")
    priority: JobPriority = Field(JobPriority.NORMAL, description="low: runs when no normal job waits")

    @field_validator("hotwords", "redact", mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        """Accept a JSON list, or words separated by commas, in one field of a form."""
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
            value = value[0]
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            try:
                return orjson.loads(value)
            except orjson.JSONDecodeError as error:
                raise ValueError(f"it is not valid JSON: {error}") from None
        return [word.strip() for word in value.split(",") if word.strip()]

    def options(self) -> JobOptions:
        """Return the options of the job. Raises ApiError."""
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise invalid("Invalid 'end': it must be greater than 'start'.", "end")
        try:
            asr = TranscriptionOptions(
                language=_language(self.language),
                prompt=self.prompt and self.prompt[-MAX_PROMPT_CHARS:],
                words=self.words,
                task=self.task,
                temperature=self.temperature,
                hotwords=tuple(self.hotwords),
            )
        except TranscriptionOptionsError as error:
            raise invalid(str(error), "hotwords") from None
        try:
            # TextOptions checks the names.
            text = TextOptions(profanity_filter=self.profanity_filter, redact=tuple(self.redact))  # type: ignore[arg-type]
        except TextOptionsError as error:
            raise invalid(f"Invalid 'redact': {error}.", "redact") from None
        return JobOptions(
            model=self.model,
            asr=asr,
            start=self.start,
            end=self.end,
            track=self.track,
            callback=self.callback,
            metadata=self.metadata,
            text=text,
            speakers=self._speakers(),
        )

    def _speakers(self) -> SpeakerBounds | None:
        try:  # Bounds that contradict each other are an error even if no speakers are wanted.
            bounds = SpeakerBounds(self.min_speakers, self.max_speakers)
        except SpeakerBoundsError as error:
            raise invalid(f"Invalid 'max_speakers': {error}.", "max_speakers") from None
        return bounds if self.diarize else None


def parse_job_fields(fields: Iterable[tuple[str, object]]) -> JobFields:
    """Return the checked fields of a request. Empty values count as not sent. Raises ApiError."""
    found: dict[str, Any] = {}
    for name, value in fields:
        base = name.removesuffix("[]")
        if value in ("", None):
            continue
        if base in LISTS:
            found.setdefault(base, []).extend(value if isinstance(value, list) else [value])
        else:
            found[base] = value
    try:
        return JobFields.model_validate(found)
    except ValidationError as error:
        raise _api_error(error) from None


def _api_error(error: ValidationError) -> ApiError:
    first = error.errors()[0]
    param = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return missing(param)
    if first["type"] == "extra_forbidden":
        known = ", ".join(JobFields.model_fields)
        return invalid(f"Unknown parameter '{param[:100]}'. Known ones: {known}.", param, "unknown_parameter")
    return invalid(f"Invalid '{param}': {sentence_of(first)}.", param)


def _language(name: str | None) -> str | None:
    if name is None or name.lower() == "auto":
        return None
    code = code_of(name)
    if code is None:
        message = f"Invalid language '{name[:50]}'. Languages are specified in ISO-639-1 format."
        raise invalid(message, "language", "invalid_language_format")
    return code
