"""Preferences: what a client of the native protocol chose, and how `session.update` changes it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from asr.recognizer import MAX_PROMPT_CHARS, Task, TranscriptionOptionsError
from audio.clip import ms_from_samples, samples_from_ms
from audio.codecs import Encoding, Format
from audio.errors import AudioError
from server.errors import ClientError
from streaming.endpointing import AdaptiveSilence, EndpointPolicy, FixedSilence
from streaming.options import SessionOptions
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
        "server.lag",
    }
)

SHORTEST_TURN_MS: Final = 96  # before it no eager transcription has begun
LONGEST_TURN_MS: Final = 10_000
ASR_OPTIONS: Final = ("language", "prompt", "hotwords", "task", "temperature", "words")
PRIVATE: Final = frozenset({"prompt", "hotwords"})  # of what is in force; not for the log


class _Strict(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class VadUpdate(_Strict):
    """Ranges are VadOptions' own."""

    threshold: float | None = None
    silence_ms: int | None = None
    prefix_ms: int | None = None
    min_speech_ms: int | None = None
    max_segment_ms: int | None = None


class EndpointingUpdate(_Strict):
    """The bounds are of AdaptiveSilence; a fixed silence has none, and by hand there is no silence."""

    mode: Literal["fixed", "adaptive", "manual"] | None = None
    shortest_ms: int | None = Field(None, ge=SHORTEST_TURN_MS, le=LONGEST_TURN_MS)
    longest_ms: int | None = Field(None, ge=SHORTEST_TURN_MS, le=LONGEST_TURN_MS)

    def applied(self, turn: EndpointPolicy) -> EndpointPolicy:
        adaptive = turn if isinstance(turn, AdaptiveSilence) else AdaptiveSilence()
        mode = self.mode or ("adaptive" if turn is adaptive else "fixed")
        if mode != "adaptive":
            return FixedSilence()
        given = {"shortest": self.shortest_ms, "longest": self.longest_ms}
        return replace(
            adaptive, **{name: samples_from_ms(ms) for name, ms in given.items() if ms is not None}
        )


class SessionUpdate(_Strict):
    """The `session` object of `session.update`; what is absent stays as it is."""

    language: str | None = Field(None, pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")
    prompt: str | None = Field(None, max_length=MAX_PROMPT_CHARS)
    hotwords: list[str] = []
    task: Task = "transcribe"
    temperature: float = Field(0.0, ge=0, le=1)
    events: list[str] = []
    include_audio: bool = True
    words: bool = False
    vad: VadUpdate = VadUpdate()
    turn: EndpointingUpdate = EndpointingUpdate()
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
class OutputOptions:
    """What a client chose for an utterance's final; captured when the utterance begins.

    include_audio, words: the final carries them
    silence: a final without text is sent too
    """

    include_audio: bool
    words: bool
    silence: bool


@dataclass(frozen=True, slots=True)
class ConfigReached:
    """A note in the stream: from here on this configuration is in force."""

    config: "SessionConfig"


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """encoding: of binary frames, and of `append` messages that do not say."""

    options: SessionOptions
    events: frozenset[str] = frozenset()
    include_audio: bool = True
    encoding: Encoding = field(default_factory=Encoding)

    def merged(self, session: Mapping[str, Any]) -> "SessionConfig":
        """With the changes of a `session` object. A bad value refuses all of it: raises ClientError."""
        try:
            update = SessionUpdate.model_validate(session)
        except ValidationError as error:
            raise _refused(error) from None
        given = update.model_fields_set
        asr = {name: getattr(update, name) for name in ASR_OPTIONS if name in given}
        if "hotwords" in asr:
            asr["hotwords"] = tuple(update.hotwords)
        vad = update.vad.model_dump(exclude_none=True)
        if update.turn.mode is not None:
            vad["manual"] = update.turn.mode == "manual"
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
                turn=update.turn.applied(self.options.turn),
                partials="transcript.partial" in events,
                lag="server.lag" in events,
            )
            encoding_now = replace(self.encoding, **encoding)
        except OptionError as error:
            raise ClientError("invalid_value", str(error), param=f"session.vad.{error.param}") from None
        except TranscriptionOptionsError as error:
            raise ClientError("invalid_value", str(error), param="session.hotwords") from None
        except AudioError as error:
            raise ClientError(error.code, str(error), param=f"session.{error.param}") from None
        return SessionConfig(
            options=options,
            events=events,
            include_audio=update.include_audio if "include_audio" in given else self.include_audio,
            encoding=encoding_now,
        )

    @property
    def output(self) -> OutputOptions:
        """A client that follows utterances is told of the end of each one, also of those without text."""
        silence = "input_audio_buffer.speech_started" in self.events
        return OutputOptions(self.include_audio, self.options.asr.words, silence)

    def effective(self) -> dict[str, object]:
        """What is in force, as `session.created` and `session.updated` tell it."""
        vad, asr = self.options.vad, self.options.asr
        return {
            "language": asr.language,
            "prompt": asr.prompt,
            "hotwords": list(asr.hotwords),
            "task": asr.task,
            "temperature": asr.temperature,
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
            "turn": {"mode": "manual"} if vad.manual else _turn(self.options.turn),
            "format": self.encoding.format,
            "sample_rate": self.encoding.sample_rate,
            "channels": self.encoding.channels,
        }


def _turn(turn: EndpointPolicy) -> dict[str, object]:
    if not isinstance(turn, AdaptiveSilence):
        return {"mode": "fixed"}
    bounds = {"shortest_ms": ms_from_samples(turn.shortest), "longest_ms": ms_from_samples(turn.longest)}
    return {"mode": "adaptive", **bounds}


def _refused(error: ValidationError) -> ClientError:
    """The first fault, named by its path: session.vad.threshold."""
    fault = error.errors()[0]
    param = ".".join(["session", *map(str, fault["loc"])])
    return ClientError("invalid_value", f"{param}: {fault['msg']}", param=param)


def session_from_query(query: dict[str, str]) -> dict[str, Any]:
    """What the URL says of the session, in the form of `session.update`.

    events ("all", or names with commas), language, prompt, hotwords (with commas), task, temperature, format,
    sample_rate, channels, include_audio, words.
    A number or a truth value that is none stays a string, for the session object's own check to refuse.
    """
    session: dict[str, Any] = {
        name: query[name] for name in ("language", "prompt", "task", "format") if name in query
    }
    if "events" in query:
        session["events"] = "all" if query["events"] == "all" else query["events"].split(",")
    if "hotwords" in query:
        session["hotwords"] = [word.strip() for word in query["hotwords"].split(",") if word.strip()]
    if "temperature" in query:
        number = re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,9})?", query["temperature"])
        session["temperature"] = float(query["temperature"]) if number else query["temperature"]
    for name in ("sample_rate", "channels"):
        if name in query:
            number = re.fullmatch("[0-9]{1,9}", query[name])
            session[name] = int(query[name]) if number else query[name]
    for name in ("include_audio", "words"):
        if name in query:
            session[name] = {"true": True, "1": True, "false": False, "0": False}.get(
                query[name], query[name]
            )
    return session
