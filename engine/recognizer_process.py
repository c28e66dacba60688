"""Load a recognizer, and run batches in it.

A recognizer's process imports this module and what it imports, so none of the code of streams, of batchers
and of the detector.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from asr.recognizer import Hypothesis, ModelInfo, RecognitionRequest

if TYPE_CHECKING:
    from asr.artifacts import Reporter
    from asr.model_registry import LoadedModel


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Hold the options for loading a recognizer (see asr.model_registry.load).

    warm_up: whether to transcribe a second of silence, so that the first client does not wait for what is
        built on first use, and the memory for it is counted
    punctuation_model: folder or hub id of a model that restores punctuation and capitals for a recognizer of
        bare words; "" for none
    """

    device: str = "auto"
    dtype: str = "auto"
    hub_timeout: float = 3.0
    audio_context: Literal["auto", "full", "short"] = "auto"
    language_model: str = ""
    warm_up: bool = True
    punctuation_model: str = ""


@dataclass(frozen=True, slots=True)
class LoadedModelInfo:
    """Describe a loaded recognizer.

    memory: bytes by which its process grew on the device where it runs; 0 if unknown
    """

    description: ModelInfo
    memory: int


@dataclass(frozen=True, slots=True)
class BuiltRecognizer:
    """Hold a loaded recognizer; memory: as in LoadedModelInfo."""

    loaded: "LoadedModel"
    memory: int


def prepare_nothing() -> None:
    """Do nothing: the default preparation of a process."""


def build_in_process(
    prepare: Callable[[], None],
    source: str,
    options: LoadOptions,
    environment: Mapping[str, str],
    reporter: "Reporter | None" = None,
) -> BuiltRecognizer:
    """Prepare the process and its environment, then load a recognizer."""
    prepare()
    os.environ.update(environment)  # torch and the hub's client read them on import.
    return build_recognizer(source, options, reporter)


def build_recognizer(
    source: str, options: LoadOptions, reporter: "Reporter | None" = None
) -> BuiltRecognizer:
    """Load a recognizer and measure its memory.

    reporter: reports the download of its model; None for the log
    """
    from asr.memory_usage import memory_in_use
    from asr.model_registry import load
    from asr.recognizer import warm_up

    devices = ("cpu", "cuda:0" if options.device == "auto" else options.device)
    before = {device: memory_in_use(device) for device in devices}
    loaded = load(
        source,
        device=options.device,
        dtype=options.dtype,
        hub_timeout=options.hub_timeout,
        audio_context=options.audio_context,
        language_model=options.language_model,
        reporter=reporter,
    )
    if options.punctuation_model and not loaded.description.punctuates:
        from postprocessing.punctuation_model import with_punctuation  # It imports torch.

        loaded = with_punctuation(
            loaded, options.punctuation_model, dtype=options.dtype, hub_timeout=options.hub_timeout
        )
    if options.warm_up:
        warm_up(loaded)
    device = loaded.description.device
    return BuiltRecognizer(loaded, max(0, memory_in_use(device) - before.get(device, 0)))


def transcribe(built: BuiltRecognizer, requests: list[RecognitionRequest]) -> list[Hypothesis]:
    """Run a batch."""
    return built.loaded.transcribe(requests)


def describe(built: BuiltRecognizer) -> LoadedModelInfo:
    """Return the description of a recognizer, which can be sent to another process."""
    return LoadedModelInfo(built.loaded.description, built.memory)
