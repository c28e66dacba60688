"""Preferences: what a client of the native protocol chose, and how `session.update` changes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from audio.codecs import Encoding, Format
from audio.errors import AudioError
from server.errors import ClientError
from stream.options import SessionOptions
from vad.options import OptionError

# Types that a client hears of only after it has asked for them.
OPTIONAL_EVENTS: Final = frozenset(
    {
        "session.created",
        "session.closed",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.acknowledged",
        "input_audio_buffer.cleared",
        "transcript.partial",
    }
)

MAX_PROMPT: Final = 2_000  # characters


class _Strict(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class VadUpdate(_Strict):
    """Ranges are VadOptions' own."""

    threshold: float | None = None
    silence_ms: int | None = None
    prefix_ms: int | None = None
    min_speech_ms: int | None = None
    max_segment_ms: int | None = None


class SessionUpdate(_Strict):
    """The `session` object of `session.update`; what is absent stays as it is."""

    language: str | None = Field(None, pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")
    prompt: str | None = Field(None, max_length=MAX_PROMPT)
    events: list[str] = []
    include_audio: bool = True
    words: bool = False
    vad: VadUpdate = VadUpdate()
    format: str = Format.PCM16
    sample_rate: int = 16_000
    channels: int = 1

    @field_validator("language", mode="before")
    @classmethod
    def _auto_is_none(cls, language: object) -> object:
        return None if language == "auto" else language

    @field_validator("events", mode="before")
    @classmethod
    def _all_events(cls, events: object) -> object:
        return sorted(OPTIONAL_EVENTS) if events == "all" else events


@dataclass(frozen=True, slots=True)
class Preferences:
    """encoding: of binary frames, and of `append` messages that do not say."""

    options: SessionOptions
    events: frozenset[str] = frozenset()
    include_audio: bool = True
    encoding: Encoding = field(default_factory=Encoding)

    def merged(self, session: Mapping[str, Any]) -> "Preferences":
        """With the changes of a `session` object. A bad value refuses all of it: raises ClientError."""
        try:
            update = SessionUpdate.model_validate(session)
        except ValidationError as error:
            raise _refused(error) from None
        given = update.model_fields_set
        asr = {name: getattr(update, name) for name in ("language", "prompt", "words") if name in given}
        vad = update.vad.model_dump(exclude_none=True)
        encoding = {
            name: getattr(update, name) for name in ("format", "sample_rate", "channels") if name in given
        }
        events = self.events
        if "events" in given:
            events = OPTIONAL_EVENTS.intersection(update.events)
        try:
            options = replace(
                self.options,
                vad=replace(self.options.vad, **vad),
                asr=replace(self.options.asr, **asr),
                partials="transcript.partial" in events,
            )
            encoding_now = replace(self.encoding, **encoding)
        except OptionError as error:
            raise ClientError("invalid_value", str(error), param=f"session.vad.{error.param}") from None
        except AudioError as error:
            raise ClientError(error.code, str(error), param=f"session.{error.param}") from None
        return Preferences(
            options=options,
            events=events,
            include_audio=update.include_audio if "include_audio" in given else self.include_audio,
            encoding=encoding_now,
        )

    def effective(self) -> dict[str, object]:
        """What is in force, as `session.created` and `session.updated` tell it."""
        vad, asr = self.options.vad, self.options.asr
        return {
            "language": asr.language,
            "prompt": asr.prompt,
            "words": asr.words,
            "events": sorted(self.events),
            "include_audio": self.include_audio,
            "vad": {
                "threshold": vad.threshold,
                "silence_ms": vad.silence_ms,
                "prefix_ms": vad.prefix_ms,
                "min_speech_ms": vad.min_speech_ms,
                "max_segment_ms": vad.max_segment_ms,
            },
            "format": self.encoding.format,
            "sample_rate": self.encoding.sample_rate,
            "channels": self.encoding.channels,
        }


def _refused(error: ValidationError) -> ClientError:
    """The first fault, named by its path: session.vad.threshold."""
    fault = error.errors()[0]
    param = ".".join(["session", *map(str, fault["loc"])])
    return ClientError("invalid_value", f"{param}: {fault['msg']}", param=param)
