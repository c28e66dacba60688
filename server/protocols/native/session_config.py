"""Hold the session configuration of the native protocol and apply `session.update` to it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from asr.languages import codes_of
from asr.recognizer import MAX_PROMPT_CHARS, Task, TranscriptionOptionsError
from audio.base64_text import decode_base64
from audio.clip import ms_from_samples, samples_from_ms
from audio.codecs import Encoding, Format
from audio.errors import AudioError
from diarization.known_speakers import LABELS, MAX_KNOWN
from postprocessing.options import TextOptionsError
from server.errors import ClientError
from server.protocols.json_messages import ANY_CASE, BOOLEANS
from server.validation import Whole, path_of, sentence_of
from streaming.endpointing import AdaptiveSilence, EndpointPolicy, FixedSilence, ModelSilence
from streaming.options import SessionOptions
from vad.options import OptionError

REVISED: Final = "speakers.revised"
# Message types that a client receives only if it requests them.
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
        REVISED,
    }
)

MIN_ENDPOINTING_MS: Final = 96  # an eager transcription does not begin earlier
MAX_ENDPOINTING_MS: Final = 10_000
TEXT_OPTIONS: Final = ("redact", "profanity_filter")
ASR_OPTIONS: Final = ("language", "languages", "prompt", "hotwords", "task", "temperature", "words")
MAX_NAME_CHARS: Final = 100
PRIVATE: Final = frozenset(
    {"prompt", "hotwords", "known_speakers"}
)  # fields of the configuration that must not be logged


class _Strict(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class VadUpdate(_Strict):
    """Hold the `vad` object of a `session` object; VadOptions checks the ranges."""

    threshold: float | None = None
    silence_ms: Whole | None = None
    prefix_ms: Whole | None = None
    min_speech_ms: Whole | None = None
    max_segment_ms: Whole | None = None


class EndpointingUpdate(_Strict):
    """Hold the `turn` object of a `session` object.

    The modes adaptive and model have bounds, `shortest_ms` and `longest_ms`; in manual mode no silence ends a
    turn.
    """

    mode: Annotated[Literal["fixed", "adaptive", "model", "manual"] | None, ANY_CASE] = None
    shortest_ms: Whole | None = Field(None, ge=MIN_ENDPOINTING_MS, le=MAX_ENDPOINTING_MS)
    longest_ms: Whole | None = Field(None, ge=MIN_ENDPOINTING_MS, le=MAX_ENDPOINTING_MS)

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> Self:
        if self.shortest_ms is not None and self.longest_ms is not None:
            check_order(self.shortest_ms, self.longest_ms)
        return self

    def applied(self, turn: EndpointPolicy) -> EndpointPolicy:
        """Return the policy that follows on `turn`. Raises ValueError if its bounds contradict each other."""
        mode = self.mode or _mode(turn)
        if mode not in ("adaptive", "model"):
            return FixedSilence()
        bounded = turn if isinstance(turn, AdaptiveSilence | ModelSilence) else AdaptiveSilence()
        shortest = bounded.shortest if self.shortest_ms is None else samples_from_ms(self.shortest_ms)
        longest = bounded.longest if self.longest_ms is None else samples_from_ms(self.longest_ms)
        check_order(ms_from_samples(shortest), ms_from_samples(longest))
        return ModelSilence(shortest, longest) if mode == "model" else AdaptiveSilence(shortest, longest)


def check_order(shortest_ms: float, longest_ms: float) -> None:
    """Raise ValueError if the bounds of a silence contradict each other."""
    if shortest_ms > longest_ms:
        raise ValueError(f"shortest_ms is {shortest_ms:g}, more than longest_ms, which is {longest_ms:g}")


def _bytes_of(audio: object) -> object:
    if not isinstance(audio, str):
        raise ValueError("it must be the base64 of an audio file")
    text = audio.partition(",")[2] if audio.startswith("data:") else audio
    try:
        return decode_base64(text)
    except ValueError as error:
        raise ValueError(f"it is not base64: {error}") from None


def _speaker_name(name: str) -> str:
    name = name.strip()
    if not name or not name.isprintable():
        raise ValueError("it must have characters that can be printed, and no others")
    if name in LABELS:
        raise ValueError(f"{name} is the label of a speaker without a name")
    return name


class KnownSpeakerUpdate(_Strict):
    """Hold an element of `known_speakers`: a name, and an audio file in which the speaker is heard.

    Without audio it is a speaker who stays: the client sent a clip before.
    """

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS), AfterValidator(_speaker_name)]
    audio: Annotated[bytes | None, BeforeValidator(_bytes_of)] = None


class SessionUpdate(_Strict):
    """Hold the `session` object of `session.update`; absent fields change nothing."""

    language: str | None = None
    languages: list[str] = []
    prompt: str | None = Field(None, max_length=MAX_PROMPT_CHARS)
    hotwords: list[str] = []
    task: Annotated[Task, ANY_CASE] = "transcribe"
    temperature: float = Field(0.0, ge=0, le=1)
    events: list[str] = []
    include_audio: bool = True
    words: bool = False
    redact: list[str] = []
    profanity_filter: bool = False
    diarize: bool = False
    known_speakers: list[KnownSpeakerUpdate] = Field([], max_length=MAX_KNOWN)
    vad: VadUpdate = VadUpdate()
    turn: EndpointingUpdate = EndpointingUpdate()
    format: str = Format.PCM16
    sample_rate: Whole = 16_000
    channels: Whole = 1
    multichannel: bool = False

    @field_validator("language", mode="before")
    @classmethod
    def _auto_is_none(cls, language: object) -> object:
        return None if isinstance(language, str) and language.lower() == "auto" else language

    @field_validator("language")
    @classmethod
    def _code_of_language(cls, language: str | None) -> str | None:
        return None if language is None else codes_of([language])[0]

    @field_validator("languages")
    @classmethod
    def _codes_of_languages(cls, languages: list[str]) -> list[str]:
        return codes_of(languages)

    @field_validator("events", mode="before")
    @classmethod
    def _all_events(cls, events: object) -> object:
        return sorted(OPTIONAL_EVENTS) if events == "all" else events


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """Hold the options for the final of an utterance, captured when the utterance begins.

    include_audio, words: the final carries them
    silence: a final without text is sent too
    diarize: the final says who speaks
    """

    include_audio: bool
    words: bool
    silence: bool
    diarize: bool = False


@dataclass(frozen=True, slots=True)
class ConfigReached:
    """Mark the place in the stream from which on a configuration is in force."""

    config: "SessionConfig"


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """Hold the configuration of a session.

    options: options of the stream
    events: optional message types that the client receives
    include_audio: finals carry their audio
    diarize: finals say who speaks
    encoding: encoding of binary frames, and of `append` messages that do not name one
    multichannel: the channels of the encoding are kept apart, from the beginning of the session to its end
    known_speakers: names of the speakers of whom the client sent clips, at most MAX_KNOWN
    """

    options: SessionOptions
    events: frozenset[str] = frozenset()
    include_audio: bool = True
    encoding: Encoding = field(default_factory=Encoding)
    diarize: bool = False
    known_speakers: tuple[str, ...] = ()
    multichannel: bool = False

    @property
    def apart(self) -> int | None:
        """The number of channels that are kept apart; None if they are mixed."""
        return self.encoding.channels if self.multichannel else None

    def begun(self, session: Mapping[str, Any]) -> "SessionConfig":
        """Return the configuration with which a session begins, from the `session` object of its URL.

        Raises ClientError for an invalid value.
        """
        update = parse_update(session)
        if update.multichannel and "channels" not in update.model_fields_set:
            problem = "session.multichannel: the URL must say how many `channels` there are."
            raise ClientError("invalid_value", problem, param="session.channels")
        return replace(self._changed(update), multichannel=update.multichannel)

    def merged(self, session: Mapping[str, Any]) -> "SessionConfig":
        """Return the configuration with the changes of a `session` object.

        Raises ClientError for an invalid value; then none of the changes apply.
        """
        return self.updated(parse_update(session))

    def updated(self, update: SessionUpdate) -> "SessionConfig":
        """Return the configuration with the changes of an update. Raises ClientError."""
        self._check_channels(update)
        return self._changed(update)

    def _changed(self, update: SessionUpdate) -> "SessionConfig":
        given = update.model_fields_set
        asr = with_tuples({name: getattr(update, name) for name in ASR_OPTIONS if name in given})
        text = with_tuples({name: getattr(update, name) for name in TEXT_OPTIONS if name in given})
        vad = update.vad.model_dump(exclude_none=True)
        if update.turn.mode is not None:
            vad["manual"] = update.turn.mode == "manual"
        encoding = {
            name: getattr(update, name) for name in ("format", "sample_rate", "channels") if name in given
        }
        known = self.known_speakers
        if "known_speakers" in given:
            known = tuple(dict.fromkeys(each.name for each in update.known_speakers))
        for number, each in enumerate(update.known_speakers):
            if each.audio is None and each.name not in self.known_speakers:
                problem = f"session.known_speakers.{number}: a new name needs a clip, `audio`."
                raise ClientError("invalid_value", problem, param="session.known_speakers")
        events = self.events
        if "events" in given:
            events = OPTIONAL_EVENTS.intersection(update.events)
        try:
            turn = update.turn.applied(self.options.turn)
        except ValueError as error:
            raise ClientError("invalid_value", f"session.turn: {error}", param="session.turn") from None
        try:
            options = replace(
                self.options,
                vad=replace(self.options.vad, **vad),
                asr=replace(self.options.asr, **asr),
                text=replace(self.options.text, **text),
                turn=turn,
                partials="transcript.partial" in events,
                lag="server.lag" in events,
            )
            encoding_now = replace(self.encoding, **encoding)
        except OptionError as error:
            raise ClientError("invalid_value", str(error), param=f"session.vad.{error.param}") from None
        except TranscriptionOptionsError as error:
            raise ClientError("invalid_value", str(error), param="session.hotwords") from None
        except TextOptionsError as error:
            raise ClientError("invalid_value", str(error), param="session.redact") from None
        except AudioError as error:
            raise ClientError(error.code, str(error), param=f"session.{error.param}") from None
        return SessionConfig(
            options=options,
            events=events,
            include_audio=update.include_audio if "include_audio" in given else self.include_audio,
            encoding=encoding_now,
            diarize=update.diarize if "diarize" in given else self.diarize,
            known_speakers=known,
            multichannel=self.multichannel,
        )

    def _check_channels(self, update: SessionUpdate) -> None:
        """Check that an update leaves the channels of a session as they began. Raises ClientError."""
        given = update.model_fields_set
        if "multichannel" in given and update.multichannel != self.multichannel:
            problem = "`multichannel` is chosen in the URL, for the whole session."
            raise ClientError("invalid_value", problem, param="session.multichannel")
        if not self.multichannel:
            return
        if "channels" in given and update.channels != self.encoding.channels:
            problem = "`channels` is chosen in the URL, for the whole session, where channels are kept apart."
            raise ClientError("invalid_value", problem, param="session.channels")
        if update.known_speakers:
            problem = "session.known_speakers: where channels are kept apart, each channel is a speaker."
            raise ClientError("invalid_value", problem, param="session.known_speakers")

    @property
    def output(self) -> OutputOptions:
        """The options for finals of utterances that begin now.

        A client that receives speech_started gets a final for each utterance, also for those without text.
        """
        silence = "input_audio_buffer.speech_started" in self.events
        return OutputOptions(self.include_audio, self.options.asr.words, silence, self.diarize)

    def effective(self) -> dict[str, object]:
        """Return the configuration in force, as `session.created` and `session.updated` report it."""
        vad, asr = self.options.vad, self.options.asr
        return {
            "language": asr.language,
            "languages": list(asr.languages),
            "prompt": asr.prompt,
            "hotwords": list(asr.hotwords),
            "task": asr.task,
            "temperature": asr.temperature,
            "words": asr.words,
            "redact": list(self.options.text.redact),
            "profanity_filter": self.options.text.profanity_filter,
            "diarize": self.diarize,
            "known_speakers": [{"name": name} for name in self.known_speakers],
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
            "multichannel": self.multichannel,
        }


def _turn(turn: EndpointPolicy) -> dict[str, object]:
    if not isinstance(turn, AdaptiveSilence | ModelSilence):
        return {"mode": "fixed"}
    bounds = {"shortest_ms": ms_from_samples(turn.shortest), "longest_ms": ms_from_samples(turn.longest)}
    return {"mode": _mode(turn), **bounds}


def _mode(turn: EndpointPolicy) -> str:
    if isinstance(turn, ModelSilence):
        return "model"
    return "adaptive" if isinstance(turn, AdaptiveSilence) else "fixed"


def parse_update(session: Mapping[str, Any]) -> SessionUpdate:
    """Return the changes that a `session` object asks for. Raises ClientError for an invalid value."""
    try:
        return SessionUpdate.model_validate(session)
    except ValidationError as error:
        raise _refused(error) from None


def _refused(error: ValidationError) -> ClientError:
    """Return an error for the first invalid field, with its path, such as session.vad.threshold."""
    fault = error.errors()[0]
    param = ".".join(["session", *filter(None, [path_of(fault)])])
    return ClientError("invalid_value", f"{param}: {sentence_of(fault)}", param=param)


def with_tuples(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with tuples in place of the lists of JSON."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}


def session_from_query(query: dict[str, str]) -> dict[str, Any]:
    """Return the session parameters of a URL's query, in the form of `session.update`.

    The parameters are events ("all", or names separated by commas), language, prompt, languages and hotwords
    (separated by commas), redact (too), task, temperature, format, sample_rate, channels, multichannel,
    include_audio, words, diarize and profanity_filter.
    An invalid number or Boolean stays a string, so that the check of the session object refuses it.
    """
    session: dict[str, Any] = {
        name: query[name] for name in ("language", "prompt", "task", "format") if name in query
    }
    if "events" in query:
        session["events"] = "all" if query["events"] == "all" else query["events"].split(",")
    for name in ("hotwords", "languages", "redact"):
        if name in query:
            session[name] = [word.strip() for word in query[name].split(",") if word.strip()]
    if "temperature" in query:
        number = re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,9})?", query["temperature"])
        session["temperature"] = float(query["temperature"]) if number else query["temperature"]
    for name in ("sample_rate", "channels"):
        if name in query:
            number = re.fullmatch(r"([0-9]{1,9})(\.0{1,9})?", query[name])
            session[name] = int(number[1]) if number else query[name]
    for name in ("include_audio", "words", "diarize", "profanity_filter", "multichannel"):
        if name in query:
            session[name] = BOOLEANS.get(query[name].strip().lower(), query[name])
    return session
