"""Read typed settings from the environment or `.env`, with units and bounds.

The description of each field is its text in `.env.example` and docs/settings.md; a test compares them.
"""

from pathlib import Path
from typing import Self

from pydantic import model_validator
from pydantic_settings import SettingsConfigDict

from asr.hallucination_filter import FILTERS
from audio.clip import samples_from_ms
from engine.memory_budget import MIB
from engine.model_names import model_sources
from engine.options import EngineOptions
from engine.recognizer_process import LoadOptions
from jobs.options import JobsOptions
from server.settings.jobs import JobSettings
from server.settings.journal import JournalSettings
from server.settings.limits import LimitSettings
from server.settings.network import NetworkSettings
from server.settings.observability import ObservabilitySettings
from server.settings.recognizer import RecognizerSettings, WorkerKind
from server.settings.summary import SummarySettings
from server.settings.vad import VadSettings
from streaming.options import SessionOptions

__all__ = ["Settings", "WorkerKind"]


# The last base comes first in the generated documents.
class Settings(
    ObservabilitySettings,
    JobSettings,
    JournalSettings,
    SummarySettings,
    LimitSettings,
    VadSettings,
    RecognizerSettings,
    NetworkSettings,
):
    """Read the environment over `.env` over the defaults; the names are the fields' names in capitals."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    @model_validator(mode="after")
    def _video_sites_are_fetched(self) -> Self:
        if self.fetch_video_sites and not self.fetch_urls:
            raise ValueError("FETCH_VIDEO_SITES needs FETCH_URLS")
        return self

    def engine_options(self) -> EngineOptions:
        """Return what the engine needs of these settings."""
        return EngineOptions(
            recognizers=model_sources(self.asr_model, self.asr_models),
            preload=self.asr_preload,
            idle_seconds=self.asr_idle_seconds,
            memory_bytes=self.asr_memory_mb * MIB,
            load=LoadOptions(
                self.asr_device,
                self.asr_dtype,
                self.hub_timeout_seconds,
                self.asr_audio_context,
                language_model=self.asr_language_model,
                punctuation_model=self.punctuation_model,
            ),
            in_process=self.asr_worker is WorkerKind.PROCESS,
            threads=self.asr_threads,
            batch_items=self.asr_batch_items,
            batch_audio_seconds=self.asr_batch_seconds,
            batch_seconds=self.asr_batch_ms / 1000,
            queue_items=self.asr_queue_items,
            deadline_seconds=self.asr_deadline_seconds,
            detector_device=self.vad_device,
            detector_deadline_seconds=self.vad_deadline_seconds,
            streams=self.max_sessions + self.max_files + self.jobs_at_once,
            spool_minutes=self.spool_minutes,
            needs_turn_model=self.endpointing == "model",
            distinguishes_speakers=self.diarize,
            speaker_model=self.speaker_model,
        )

    def jobs_options(self) -> JobsOptions | None:
        """Return how this process keeps jobs; None if it has none."""
        if not self.data_dir:
            return None
        return JobsOptions(
            folder=Path(self.data_dir),
            database_url=self.database_url.get_secret_value(),
            jobs_at_once=self.jobs_at_once,
            worker_id=self.worker_id,
            retention_seconds=self.job_retention_seconds,
            max_unfinished=self.max_jobs,
            max_audio_bytes=self.job_storage_mb * MIB,
            audio_url=self.job_audio_url,
        )

    def session_options(self) -> SessionOptions:
        """Return the options that a stream starts with."""
        return SessionOptions(
            vad=self.vad_options(),
            partial_interval=samples_from_ms(self.partial_interval_ms),
            eager=self.eager_finals,
            turn=self.endpoint_policy(),
            guards=FILTERS[self.hallucination_filter],
        )
