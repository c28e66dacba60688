"""Define the settings of voice detection and endpointing: where an utterance begins and ends."""

from importlib.util import find_spec
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings

from audio.clip import samples_from_ms
from server.settings.recognizer import check_device
from streaming.endpointing import AdaptiveSilence, EndpointPolicy, FixedSilence, ModelSilence
from vad.options import VadOptions


class VadSettings(BaseSettings):
    """Configure the voice detector, and the silence that ends an utterance."""

    vad_device: str = Field("auto", description="Device of the voice detector: auto, cpu, cuda or cuda:N.")
    vad_deadline_seconds: float = Field(
        10.0,
        gt=0,
        description="Seconds that one step of the voice detector may take. After that the server exits with "
        "status 1.",
    )
    vad_threshold: float = Field(
        0.5, ge=0, le=1, description="Speech probability from which a hop of 32 ms counts as speech."
    )
    vad_silence_ms: int = Field(
        300,
        ge=0,
        le=10_000,
        description="Silence that ends an utterance of a live stream, in ms, with ENDPOINTING=fixed. "
        "Files have longer segments.",
    )
    vad_pre_roll_ms: int = Field(
        300, ge=0, le=2_000, description="Audio kept before the first speech of an utterance, in ms."
    )
    vad_min_speech_ms: int = Field(
        96, ge=0, le=2_000, description="Speech that is needed to start an utterance, in ms."
    )
    vad_max_segment_ms: int = Field(
        30_000,
        ge=1_000,
        le=120_000,
        description="Maximum length of an utterance, in ms. A longer one is cut at its quietest place.",
    )
    no_audio_seconds: float = Field(
        2.0,
        ge=0,
        le=3_600,
        description="Seconds without audio from a connected client that end the open utterance; 0 disables "
        "this.",
    )
    endpointing: Literal["fixed", "adaptive", "model"] = Field(
        "fixed",
        description="Which silence ends an utterance: fixed (VAD_SILENCE_MS), adaptive (shorter after text "
        "that reads finished, longer after text that does not), or model (shorter if smart-turn-v3.2 judges "
        "the turn complete, longer if not; needs the extra `turn`).",
    )
    endpointing_shortest_ms: int = Field(
        200,
        ge=96,
        le=10_000,
        description="Silence that ends a finished sentence, in ms, with ENDPOINTING=adaptive or model.",
    )
    endpointing_longest_ms: int = Field(
        1_200,
        ge=96,
        le=10_000,
        description="Silence that ends an unfinished sentence, in ms, with ENDPOINTING=adaptive or model.",
    )

    @field_validator("vad_device")
    @classmethod
    def _is_vad_device(cls, device: str) -> str:
        return check_device(device)

    @field_validator("endpointing")
    @classmethod
    def _has_onnxruntime(cls, endpointing: str) -> str:
        if endpointing == "model" and find_spec("onnxruntime") is None:
            raise ValueError("it needs the package of the extra `turn`: poetry install -E turn")
        return endpointing

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> Self:
        if self.endpointing_shortest_ms > self.endpointing_longest_ms:
            raise ValueError(
                f"ENDPOINTING_SHORTEST_MS={self.endpointing_shortest_ms} is more than "
                f"ENDPOINTING_LONGEST_MS={self.endpointing_longest_ms}"
            )
        return self

    def vad_options(self) -> VadOptions:
        """Return the options of the voice detector that a stream starts with."""
        return VadOptions(
            threshold=self.vad_threshold,
            silence_ms=self.vad_silence_ms,
            prefix_ms=self.vad_pre_roll_ms,
            min_speech_ms=self.vad_min_speech_ms,
            max_segment_ms=self.vad_max_segment_ms,
        )

    def endpoint_policy(self) -> EndpointPolicy:
        """Return the rule that ends the utterances of a stream."""
        if self.endpointing == "fixed":
            return FixedSilence()
        bounded = ModelSilence if self.endpointing == "model" else AdaptiveSilence
        return bounded(
            samples_from_ms(self.endpointing_shortest_ms), samples_from_ms(self.endpointing_longest_ms)
        )
