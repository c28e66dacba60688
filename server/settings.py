"""Settings: everything that can be set from the environment or `.env`, typed, with units and bounds.

Each field's description is what `.env.example` and docs/settings.md say of it; a test holds them together.
"""

from enum import StrEnum

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from audio.clip import samples_from_ms
from stream.options import SessionOptions
from vad.options import VadOptions


class Place(StrEnum):
    """Where the recognizer runs."""

    PROCESS = "process"
    THREAD = "thread"


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


class Settings(BaseSettings):
    """Read from the environment over `.env` over the defaults; names are the fields' in capitals."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    host: str = Field("localhost", description="address to listen on")
    port: int = Field(5001, ge=0, le=65535, description="TCP port to listen on; 0 takes a free one")

    asr_model: str = Field(
        "auto", description="auto, pocketsphinx, free (for load tests), a model id of the hub, or a folder"
    )
    asr_device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    asr_dtype: str = Field("auto", description="auto, float32, bfloat16 or float16")
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
    asr_queue_items: int = Field(
        1024,
        ge=1,
        description="jobs that may wait; beyond it partials and eager finals are shed, finals never",
    )
    hub_timeout_seconds: float = Field(
        5.0, gt=0, le=60, description="seconds to wait for a model hub at start"
    )

    vad_device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
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
        500, ge=100, le=60_000, description="ms of new speech between two partials"
    )

    max_sessions: int = Field(2_000, ge=1, le=100_000, description="live streams at once; more are refused")
    max_message_bytes: int = Field(
        1 << 20,
        ge=1 << 10,
        le=3 << 20,
        description="bytes of one WebSocket message; a longer one closes 1009",
    )
    send_timeout_seconds: float = Field(
        10.0, gt=0, description="seconds a client may leave its events unread; then it is closed with 4013"
    )
    stop_seconds: float = Field(
        10.0, ge=0, description="seconds that open segments get at SIGTERM to be finished"
    )

    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="debug, info, warning, error"
    )
    log_format: LogFormat = Field(LogFormat.TEXT, description="text or json")

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
        )
