"""Hold the settings of an OpenAI Realtime session and apply `session.update` to them.

The settings have two shapes: GA is nested (`audio.input.format`), beta is flat (`input_audio_format`). Both
are accepted at any time; the server replies in the shape that the client uses.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from asr.languages import code_of, codes_of
from asr.recognizer import TranscriptionOptionsError
from audio.clip import samples_from_ms
from audio.codecs import Encoding, Format
from server.errors import ClientError
from server.protocols.json_messages import ANY_CASE
from server.protocols.openai_realtime.messages import (
    AudioFields,
    AudioInputFields,
    FlatSession,
    FormatFields,
    NestedSession,
    SessionFields,
)
from server.validation import Whole, sentence_of
from streaming.endpointing import AdaptiveSilence, EndpointPolicy, FixedSilence, ModelSilence
from streaming.options import SessionOptions
from vad.options import RANGES, VadOptions

# These are prefixes of model names. At OpenAI, these models send text during the speech, and only the client
# decides where an utterance ends.
LIVE_MODELS: Final = ("gpt-realtime-whisper", "gpt-live-transcribe")
LOGPROBS: Final = "item.input_audio_transcription.logprobs"
LONGEST_WAIT_MS: Final = {"low": 8_000, "medium": 4_000, "high": 2_000, "auto": 4_000}  # by eagerness
PCM_RATE: Final = 24_000  # Hz, unless the client sets a rate
G711_RATE: Final = 8_000  # Hz
MAX_PROMPT: Final = 10_000  # characters

_FORMATS: Final = {"audio/pcm": Format.PCM16, "audio/pcmu": Format.PCMU, "audio/pcma": Format.PCMA}
_FLAT_FORMATS: Final = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
_FLAT: Final = {
    "input_audio_format": "format",
    "input_audio_transcription": "transcription",
    "input_audio_noise_reduction": "noise_reduction",
    "turn_detection": "turn_detection",
}


def _known_language(language: str) -> str:
    if language and code_of(language) is None:
        raise ValueError(f"no language {language[:50]!r} is known; use ISO 639-1 codes")
    return language


Language = Annotated[str, AfterValidator(_known_language)]
Milliseconds = Annotated[float, Field(ge=0)]


class _SettingsModel(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)


class AudioFormat(_SettingsModel):
    type: Annotated[Literal["audio/pcm", "audio/pcmu", "audio/pcma"], ANY_CASE] = "audio/pcm"
    rate: Whole | None = Field(None, ge=8_000, le=48_000)


class NoiseReduction(_SettingsModel):
    """Hold the noise reduction, which is sent back to the client and has no effect."""

    type: Annotated[Literal["near_field", "far_field"] | None, ANY_CASE] = None
    strength: float | None = None


class Transcription(_SettingsModel):
    """Hold the options of the recognition.

    delay: sent back to the client; has no effect
    """

    model: str | None = Field(None, max_length=256)
    language: Language | None = None
    languages: list[Language] | None = None
    prompt: str | None = Field(None, max_length=MAX_PROMPT)
    keywords: list[str] | None = None
    delay: Annotated[Literal["minimal", "low", "medium", "high", "xhigh"] | None, ANY_CASE] = None

    @property
    def is_live(self) -> bool:
        return self.model is not None and self.model.startswith(LIVE_MODELS)


class ServerVadConfig(_SettingsModel):
    """Hold the options of server-side voice detection.

    None stands for the server's own value. A duration above the range of VadOptions is set to the maximum.
    """

    type: Annotated[Literal["server_vad"], ANY_CASE] = "server_vad"
    threshold: float | None = Field(None, ge=0, le=1)
    prefix_padding_ms: Milliseconds | None = None
    silence_duration_ms: Milliseconds | None = None
    idle_timeout_ms: float | None = Field(None, ge=5_000, le=30_000)
    create_response: bool | None = None
    interrupt_response: bool | None = None


class SemanticVad(_SettingsModel):
    type: Annotated[Literal["semantic_vad"], ANY_CASE]
    eagerness: Annotated[Literal["low", "medium", "high", "auto"] | None, ANY_CASE] = None
    create_response: bool | None = None
    interrupt_response: bool | None = None


def _kind(turn: Any) -> Any:
    """Return the type of a turn detection, server_vad by default: the beta protocol may omit it."""
    kind = turn.get("type", "server_vad") if isinstance(turn, Mapping) else getattr(turn, "type", None)
    return kind.strip().lower() if isinstance(kind, str) else kind


TurnDetection = Annotated[
    Annotated[ServerVadConfig, Tag("server_vad")] | Annotated[SemanticVad, Tag("semantic_vad")],
    Discriminator(_kind),
]


class AudioInput(_SettingsModel):
    format: AudioFormat | None = None
    noise_reduction: NoiseReduction | None = None
    transcription: Transcription | None = None
    turn_detection: TurnDetection | None = None


class Audio(_SettingsModel):
    input: AudioInput | None = None


class GivenFields(_SettingsModel):
    """Hold a `session` object in GA's shape; fields that the client never sent are unset.

    model: model of a session whose type is not transcription
    """

    type: Annotated[Literal["transcription", "realtime"], ANY_CASE] = "transcription"
    model: str | None = Field(None, max_length=256)
    audio: Audio | None = None
    include: list[str] | None = None


@dataclass(frozen=True)
class RealtimeConfig:
    """Hold the settings in force.

    defaults: options of the server
    given: settings that the client sent
    beta: whether the client uses the flat shape
    id: id of the session; "" before it has one
    always_live: whether deltas are sent during the speech for any name of a model
    """

    defaults: SessionOptions
    given: GivenFields = field(default_factory=GivenFields)
    beta: bool = False
    id: str = ""
    always_live: bool = False

    def merged(self, session: Mapping[str, Any]) -> "RealtimeConfig":
        """Return the settings with the changes of a `session` object in either shape.

        An absent field keeps its value, null removes it. Raises ClientError for a bad value; no change is
        applied then.
        """
        settings = _merge(self.given.model_dump(exclude_unset=True), _nested(session))
        try:
            changed = replace(self, given=GivenFields.model_validate(settings))
            changed.options  # noqa: B018  # The property checks the keywords.
        except ValidationError as error:
            raise self._refused(error) from None
        except TranscriptionOptionsError as error:
            param = "session.audio.input.transcription.keywords"
            raise ClientError("invalid_value", str(error), param=param) from None
        return changed

    @cached_property
    def input(self) -> AudioInput:
        return (self.given.audio and self.given.audio.input) or AudioInput()

    @cached_property
    def transcription(self) -> Transcription:
        return self.input.transcription or Transcription()

    @cached_property
    def turn_detection(self) -> ServerVadConfig | SemanticVad | None:
        """The turn detection in force; None if only the client decides where an utterance ends."""
        if "turn_detection" in self.input.model_fields_set:
            return self.input.turn_detection
        return None if self.transcription.is_live else ServerVadConfig()

    @cached_property
    def live(self) -> bool:
        """Whether deltas are sent during the speech instead of after the commit."""
        return self.always_live or self.transcription.is_live

    @cached_property
    def logprobs(self) -> bool:
        return LOGPROBS in (self.given.include or ())

    @cached_property
    def idle_timeout(self) -> int:
        """Samples without speech after which the silence becomes an item; 0 for never."""
        turn = self.turn_detection
        return samples_from_ms(turn.idle_timeout_ms or 0) if isinstance(turn, ServerVadConfig) else 0

    @cached_property
    def encoding(self) -> Encoding:
        form = self.input.format or AudioFormat()
        rate = form.rate or PCM_RATE if form.type == "audio/pcm" else G711_RATE
        return Encoding(_FORMATS[form.type], rate)

    @cached_property
    def options(self) -> SessionOptions:
        """The options of the recognition. Raises TranscriptionOptionsError for bad keywords."""
        transcription = self.transcription
        languages = [transcription.language] if transcription.language else transcription.languages or []
        asr = replace(
            self.defaults.asr,
            language=code_of(languages[0]) if len(languages) == 1 and languages[0] else None,
            languages=tuple(codes_of(filter(None, languages))) if len(languages) > 1 else (),
            prompt=transcription.prompt or None,
            hotwords=tuple(transcription.keywords or ()),
            words=self.logprobs,
        )
        return replace(self.defaults, vad=self._vad(), asr=asr, partials=self.live, turn=self._turn())

    def _vad(self) -> VadOptions:
        vad, turn = self.defaults.vad, self.turn_detection
        if turn is None:  # RealtimeOutput joins the utterances between two commits
            return replace(vad, manual=True, max_manual_ms=vad.max_segment_ms)
        if isinstance(turn, SemanticVad):
            return vad
        return replace(
            vad,
            threshold=vad.threshold if turn.threshold is None else turn.threshold,
            prefix_ms=_within("prefix_ms", turn.prefix_padding_ms, vad.prefix_ms),
            silence_ms=_within("silence_ms", turn.silence_duration_ms, vad.silence_ms),
        )

    def _turn(self) -> EndpointPolicy:
        if not isinstance(self.turn_detection, SemanticVad):
            return FixedSilence()
        turn = self.defaults.turn
        own = turn if isinstance(turn, AdaptiveSilence | ModelSilence) else AdaptiveSilence()
        return replace(own, longest=samples_from_ms(LONGEST_WAIT_MS[self.turn_detection.eagerness or "auto"]))

    # The following methods build the settings as they are sent to the client.

    def effective(self) -> NestedSession | FlatSession:
        """Return the settings in force, as `session.created` and `session.updated` send them."""
        audio = AudioInputFields(
            format=self._format(),
            transcription=self._transcription(),
            noise_reduction=_plain(self.input.noise_reduction),
            turn_detection=self._turn_detection(),
        )
        is_transcription = self.given.type == "transcription"
        session = SessionFields(
            id=self.id,
            object="realtime.transcription_session" if is_transcription else "realtime.session",
            expires_at=0,
            include=[LOGPROBS] if self.logprobs else None,
        )
        if not is_transcription:
            session["model"] = self.given.model
        if not self.beta:
            return NestedSession({"type": self.given.type, **session, "audio": AudioFields(input=audio)})
        return FlatSession(
            {
                **session,
                "modalities": ["text"],
                "input_audio_format": _flat_format(audio["format"]),
                "input_audio_transcription": audio["transcription"],
                "input_audio_noise_reduction": audio["noise_reduction"],
                "turn_detection": audio["turn_detection"],
                "client_secret": None,
            }
        )

    def _format(self) -> FormatFields:
        form = (self.input.format or AudioFormat()).type
        if form == "audio/pcm":
            return FormatFields(type=form, rate=self.encoding.sample_rate)
        return FormatFields(type=form)

    def _transcription(self) -> dict[str, object] | None:
        fields = _plain(self.input.transcription)
        return None if fields is None else {"model": None, "language": None, "prompt": None, **fields}

    def _turn_detection(self) -> dict[str, object] | None:
        turn = self.turn_detection
        if turn is None:
            return None
        fields = _plain(turn) or {}
        if isinstance(turn, SemanticVad):
            return {**fields, "type": "semantic_vad", "eagerness": turn.eagerness or "auto"}
        vad = self.options.vad
        if turn.idle_timeout_ms is not None:
            fields["idle_timeout_ms"] = round(turn.idle_timeout_ms)
        in_force = {"prefix_padding_ms": vad.prefix_ms, "silence_duration_ms": vad.silence_ms}
        return {**fields, "type": "server_vad", "threshold": vad.threshold, **in_force}

    def _refused(self, error: ValidationError) -> ClientError:
        """Return the error of the first bad field, named by its path in the client's shape."""
        fault = error.errors()[0]
        path = [str(part) for part in fault["loc"] if part not in ("server_vad", "semantic_vad")]
        if self.beta and path[:2] == ["audio", "input"] and len(path) > 2:
            path = [next(flat for flat, part in _FLAT.items() if part == path[2]), *path[3:]]
        param = ".".join(["session", *path])
        return ClientError("invalid_value", f"{param}: {sentence_of(fault)}", param=param)


def _flat_format(form: FormatFields) -> str:
    return next(flat for flat, nested in _FLAT_FORMATS.items() if nested == form["type"])


def _within(name: str, milliseconds: float | None, default: int) -> int:
    return default if milliseconds is None else round(min(milliseconds, RANGES[name][1]))


def _plain(part: BaseModel | None) -> dict[str, object] | None:
    """Return the fields of a part as JSON, without those that were never sent or were removed."""
    return None if part is None else part.model_dump(exclude_none=True)


def _nested(session: Mapping[str, Any]) -> dict[str, Any]:
    """Return a `session` object of either shape in GA's shape."""
    flat = {part: session[name] for name, part in _FLAT.items() if name in session}
    if not flat:
        return dict(session)
    if isinstance(flat.get("format"), str):
        flat["format"] = {"type": _FLAT_FORMATS.get(flat["format"].strip().lower(), flat["format"])}
    audio = session.get("audio")
    inner = audio.get("input") if isinstance(audio, Mapping) else None
    return {**session, "audio": {"input": {**(inner if isinstance(inner, Mapping) else {}), **flat}}}


def _merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Merge objects field by field; an object of a new kind replaces the old one."""
    merged = dict(old)
    for name, value in new.items():
        before = old.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping) and _is_same_kind(name, before, value):
            merged[name] = _merge(before, value)
        else:
            merged[name] = value
    return merged


def _is_same_kind(name: str, before: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
    if name == "turn_detection":
        return bool(value.get("type", _kind(before)) == _kind(before))
    return name != "format"
