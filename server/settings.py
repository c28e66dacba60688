"""Settings: everything that can be set from the environment or `.env`, typed, with units and bounds.

Each field's description is what `.env.example` and docs/settings.md say of it; a test holds them together.
"""

from dataclasses import fields
from enum import StrEnum
from importlib.util import find_spec
from typing import Literal

from pydantic import AliasChoices, Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from asr.hallucination_filter import FilterThresholds
from audio.clip import samples_from_ms
from engine.memory_budget import MIB
from engine.model_names import catalogue
from engine.options import EngineOptions
from engine.workers import LoadOptions
from journal.fsync import FsyncPolicy
from server.access_settings import AccessSettings
from server.observability.log_config import LogFormat
from streaming.endpointing import AdaptiveSilence, EndpointPolicy, FixedSilence
from streaming.options import SessionOptions
from vad.options import VadOptions


class Place(StrEnum):
    """Where the recognizer runs."""

    PROCESS = "process"
    THREAD = "thread"


class Settings(AccessSettings):
    """Read from the environment over `.env` over the defaults; names are the fields' in capitals."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    asr_model: str = Field(
        "auto",
        description="the default recognizer, always loaded: auto, pocketsphinx, free (for load tests), a "
        "model id of the hub, or a folder; name=… gives it a name",
    )
    asr_models: str = Field(
        "", description="more recognizers that clients may ask for by name, with commas: en=/path, org/model"
    )
    asr_preload: bool = Field(False, description="load those at start, not when first asked for")
    asr_idle_seconds: float = Field(
        600.0, ge=0, description="seconds without use after which one of those is unloaded; 0 never"
    )
    asr_memory_mb: int = Field(
        0, ge=0, description="MiB that all recognizers together may take; idle ones make room; 0 is no bound"
    )
    asr_device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    asr_dtype: str = Field("auto", description="auto, float32, bfloat16, float16 or int8 (on the CPU)")
    asr_audio_context: Literal["full", "short"] = Field(
        "full",
        description="how long Whisper's encoder hears: full (always 30 s) or short (as long as the clip is: "
        "faster, less exact)",
    )
    asr_place: Place = Field(
        Place.PROCESS, description="process (a model never holds up the sockets) or thread (saves memory)"
    )
    asr_threads: int = Field(
        0,
        ge=0,
        le=1024,
        description="CPU threads of a recognizer in its process; 0 leaves one core to the server",
    )
    asr_batch_items: int = Field(16, ge=1, le=1024, description="most segments in one batch")
    asr_batch_seconds: float = Field(120.0, gt=0, description="most seconds of audio in one batch")
    asr_batch_ms: int = Field(
        500,
        ge=10,
        description="ms that a batch may take, by the pace of those before it: what comes next waits so long",
    )
    asr_queue_items: int = Field(
        1024,
        ge=1,
        description="jobs that may wait; beyond it partials and eager finals are shed, finals never",
    )
    asr_deadline_seconds: float = Field(
        60.0,
        gt=0,
        description="seconds that a batch may take beside the length of its sound; then its process is "
        "killed and started again",
    )
    hub_timeout_seconds: float = Field(
        5.0, gt=0, le=60, description="seconds to wait for a model hub at start"
    )

    vad_device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    vad_deadline_seconds: float = Field(
        10.0, gt=0, description="seconds that a step of the detector may take; then the server stops, with 1"
    )
    vad_threshold: float = Field(0.5, ge=0, le=1, description="speech probability from which a hop is speech")
    vad_silence_ms: int = Field(300, ge=0, le=10_000, description="ms of silence that end an utterance")
    vad_prefix_ms: int = Field(300, ge=0, le=2_000, description="ms kept from before the first speech")
    vad_min_speech_ms: int = Field(96, ge=0, le=2_000, description="ms of speech that make an utterance")
    vad_max_segment_ms: int = Field(
        30_000, ge=1_000, le=120_000, description="ms after which an utterance is cut at a quiet place"
    )

    eager_finals: bool = Field(
        True, description="transcribe when a pause begins, to have the final ready at its end"
    )
    partial_interval_ms: int = Field(
        500,
        ge=100,
        le=60_000,
        description="ms of new speech between two partials; more where one takes long: they get a fifth of "
        "the time",
    )

    turn: Literal["fixed", "adaptive"] = Field(
        "fixed",
        description="how long a pause may be: fixed, or adaptive (shorter after what reads finished, longer "
        "after what does not)",
    )
    turn_shortest_ms: int = Field(
        200, ge=96, le=10_000, description="ms of silence that end a finished sentence, when adaptive"
    )
    turn_longest_ms: int = Field(
        1_200, ge=96, le=10_000, description="ms of silence that end an unfinished one, when adaptive"
    )

    guard_min_rms: float = Field(
        -60.0,
        le=0,
        description="dBFS of a segment's loudest 200 ms below which its text is refused; 0 is off",
    )
    guard_min_speech: float = Field(
        0.15, ge=0, description="seconds of speech, as the detector expects them, that a text needs; 0 is off"
    )
    guard_min_peak: float = Field(
        0.6,
        ge=0,
        le=1,
        description="speech probability that the surest 160 ms of a brief text need; 0 is off",
    )
    guard_peak_rise: float = Field(
        0.6, ge=0, description="how much more they need for each second of expected speech"
    )
    guard_brief: float = Field(
        0.6, ge=0, description="seconds of expected speech up to which a text is brief"
    )
    guard_min_voicing: float = Field(
        0.8, ge=0, le=1, description="voicing that the loudest 200 ms need (1 is a pure low tone); 0 is off"
    )
    guard_voicing_peak: float = Field(
        0.99, ge=0, le=1, description="speech probability from which on voicing is not asked for"
    )
    guard_max_no_speech: float = Field(
        0.6, ge=0, le=1, description="probability of no speech, by the model, that refuses a text; 0 is off"
    )
    guard_no_speech_log_prob: float = Field(
        -1.0, le=0, description="mean log-probability of the text above which that refuses nothing"
    )
    guard_min_log_prob: float = Field(
        0.0, le=0, description="mean log-probability below which any text is refused; 0 is off"
    )
    guard_max_compression: float = Field(
        2.4, ge=0, description="compression ratio above which a text repeats itself; 0 is off"
    )
    guard_max_repeats: int = Field(5, ge=0, description="times that a phrase may stand in a row; 0 is off")
    guard_max_rate: float = Field(8.0, ge=0, description="words in a second that nobody speaks; 0 is off")
    guard_phantoms: bool = Field(
        True, description='refuse "thank you for watching" and its like where another sign is weak'
    )

    realtime_live_deltas: bool = Field(
        False,
        description="/v1/realtime: deltas while one speaks for every client; else only where the model is "
        "named as one of OpenAI's that do so",
    )

    max_sessions: int = Field(2_000, ge=1, le=100_000, description="live streams at once; more are refused")
    max_lag_seconds: float = Field(
        10.0,
        gt=0,
        description="seconds that finals may wait for recognition; beyond it new streams are refused, and "
        "from a tenth of it on partials come less often, then not at all",
    )
    connects_per_second: float = Field(
        20.0,
        gt=0,
        description="streams and files that one address may ask for in a second; more are told 429; this "
        "machine is not counted",
    )
    connects_burst: int = Field(200, ge=1, description="that it may ask for at once, now and then")
    max_message_bytes: int = Field(
        1 << 20,
        ge=1 << 10,
        le=3 << 20,
        description="bytes of one WebSocket message; a longer one closes 1009",
    )
    max_files: int = Field(
        32, ge=1, le=1_000, description="files that are taken in or transcribed at once; more are told 503"
    )
    max_upload_bytes: int = Field(
        512 << 20, ge=1 << 10, description="bytes of a request with a file; more are told 413"
    )
    max_file_seconds: float = Field(
        14_400.0, gt=0, description="seconds of sound in a file; more are told 413"
    )
    fetch_urls: bool = Field(
        False, description="files may be given as http(s) addresses, which the server then fetches"
    )
    fetch_private: bool = Field(
        False, description="those addresses may lie in this machine and its private networks"
    )
    send_timeout_seconds: float = Field(
        10.0, gt=0, description="seconds a client may leave its events unread; then it is closed with 4013"
    )
    resume_seconds: float = Field(
        60.0,
        ge=0,
        le=3_600,
        description="seconds that a session waits for a client that was cut off; 0 is off",
    )
    resume_bytes: int = Field(
        4 << 20,
        ge=1 << 16,
        description="bytes of the latest messages that are kept of a session for a client that comes back",
    )
    journal_dir: str = Field(
        "",
        description="folder in which sessions that can be resumed are kept while they last, their sound too, "
        "so that they survive the server; empty is off: nothing is written",
    )
    journal_fsync: FsyncPolicy = Field(
        FsyncPolicy.NEVER,
        description="when that is forced onto the disk, against loss of power: never (left to the system; "
        "the end of the process loses nothing), second, always (before a client is told)",
    )
    journal_session_mb: int = Field(
        32, ge=1, description="MiB of a session's past that are kept; what it needs to go on always is"
    )
    journal_total_mb: int = Field(
        10_240, ge=1, description="MiB of all journals, above which new sessions are refused"
    )
    journal_seconds: float = Field(
        3_600.0, ge=0, description="seconds after its last write that a journal is left for the next server"
    )
    stop_seconds: float = Field(
        10.0, ge=0, description="seconds that open segments get at SIGTERM to be finished"
    )

    trace_endpoint: str = Field(
        "",
        validation_alias=AliasChoices("trace_endpoint", "otel_exporter_otlp_endpoint"),
        description="address of an OpenTelemetry collector (OTLP over HTTP) for traces, which need the extra "
        "`trace`; OTEL_EXPORTER_OTLP_ENDPOINT is read as well; empty is off",
    )
    trace_share: float = Field(1.0, ge=0, le=1, description="part of the sessions that is traced")
    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="debug, info, warning, error"
    )
    log_format: LogFormat = Field(LogFormat.TEXT, description="text or json")

    @field_validator("trace_endpoint")
    @classmethod
    def _can_be_traced(cls, endpoint: str) -> str:
        if endpoint and not _is_installed("opentelemetry.exporter.otlp.proto.http"):
            raise ValueError("traces need the packages of the extra `trace`: poetry install -E trace")
        return endpoint

    @field_validator("asr_models")
    @classmethod
    def _names_are_unique(cls, more: str, info: ValidationInfo) -> str:
        catalogue(info.data["asr_model"], more)
        return more

    def engine_options(self) -> EngineOptions:
        """Return what the engine needs of these settings."""
        return EngineOptions(
            recognizers=catalogue(self.asr_model, self.asr_models),
            preload=self.asr_preload,
            idle_seconds=self.asr_idle_seconds,
            memory_bytes=self.asr_memory_mb * MIB,
            load=LoadOptions(
                self.asr_device, self.asr_dtype, self.hub_timeout_seconds, self.asr_audio_context
            ),
            in_process=self.asr_place is Place.PROCESS,
            threads=self.asr_threads,
            batch_items=self.asr_batch_items,
            batch_audio_seconds=self.asr_batch_seconds,
            batch_seconds=self.asr_batch_ms / 1000,
            queue_items=self.asr_queue_items,
            deadline_seconds=self.asr_deadline_seconds,
            detector_device=self.vad_device,
            detector_deadline_seconds=self.vad_deadline_seconds,
            streams=self.max_sessions + self.max_files,
        )

    def session_options(self) -> SessionOptions:
        """What a stream starts with."""
        return SessionOptions(
            vad=VadOptions(
                threshold=self.vad_threshold,
                silence_ms=self.vad_silence_ms,
                prefix_ms=self.vad_prefix_ms,
                min_speech_ms=self.vad_min_speech_ms,
                max_segment_ms=self.vad_max_segment_ms,
            ),
            partial_interval=samples_from_ms(self.partial_interval_ms),
            eager=self.eager_finals,
            turn=self._turn(),
            guards=self._guards(),
        )

    def _turn(self) -> EndpointPolicy:
        if self.turn == "fixed":
            return FixedSilence()
        return AdaptiveSilence(samples_from_ms(self.turn_shortest_ms), samples_from_ms(self.turn_longest_ms))

    def _guards(self) -> FilterThresholds:
        return FilterThresholds(
            **{each.name: getattr(self, f"guard_{each.name}") for each in fields(FilterThresholds)}
        )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package above it
        return False
