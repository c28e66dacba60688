"""Models: which are known, and how a name becomes a recognizer. torch is imported only when one needs it."""

import ctypes
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from asr import model_hub
from asr.dummy import NAME as FREE
from asr.dummy import DummyRecognizer
from asr.errors import ModelUnavailable, UnsupportedModel
from asr.pocketsphinx import NAME as POCKETSPHINX
from asr.pocketsphinx import PocketSphinx
from asr.recognizer import Hypothesis, ModelInfo, RecognitionRequest, Recognizer
from audio.clip import SAMPLE_RATE, Clip

if TYPE_CHECKING:
    from asr.ctc import Ctc
    from asr.seq2seq import Seq2Seq
    from asr.transducer import Transducer
    from asr.whisper import AudioContext

AUTO: Final = "auto"
AUTO_ON_CUDA: Final = "nvidia/parakeet-tdt-0.6b-v3"
AUTO_ON_CPU: Final = "UsefulSensors/moonshine-base"
HUB_TIMEOUT: Final = 3.0  # seconds; a start without a hub in reach is to cost no more than five in all


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """A published model.

    languages: ISO 639-1 codes, () for Whisper's hundred; parameters_m: millions; licence: of the weights
    wer: on LibriSpeech test-clean, greedy, percent, as published; None when unknown
    """

    id: str
    family: str
    languages: tuple[str, ...]
    parameters_m: int | None
    licence: str
    wer: float | None = None
    note: str = ""


_EN: Final = ("en",)
_25: Final = (
    *("bg", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "hr", "hu", "it"),
    *("lt", "lv", "mt", "nl", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "uk"),
)
_UNCHECKED: Final = "not checked that the hub has its weights for transformers"
_NVIDIA: Final = "NVIDIA Open Model License"
_VIETNAMESE: Final = "no commercial use; WER 15.1 on VIVOS, 10.8 on Common Voice 8"

KNOWN: Final = (
    ModelFamily(
        "pocketsphinx", "pocketsphinx", _EN, None, "BSD-2-Clause", None, "in its wheel; about 42 % WER here"
    ),
    ModelFamily("nvidia/parakeet-tdt-0.6b-v3", "transducer", _25, 627, "CC-BY-4.0", 1.9, "auto on CUDA"),
    ModelFamily("nvidia/parakeet-tdt-0.6b-v2", "transducer", _EN, 618, "CC-BY-4.0", 1.7, _UNCHECKED),
    ModelFamily("nvidia/parakeet-tdt-1.1b", "transducer", _EN, 1100, "CC-BY-4.0", 1.4, _UNCHECKED),
    ModelFamily("nvidia/parakeet-rnnt-0.6b", "transducer", _EN, 617, "CC-BY-4.0", 1.6, _UNCHECKED),
    ModelFamily("nvidia/parakeet-rnnt-1.1b", "transducer", _EN, 1100, "CC-BY-4.0", 1.5, _UNCHECKED),
    ModelFamily(
        "nvidia/nemotron-speech-streaming-en-0.6b", "transducer", _EN, 600, _NVIDIA, 2.3, "run offline"
    ),
    ModelFamily("nvidia/parakeet-ctc-0.6b", "ctc", _EN, 609, "CC-BY-4.0", 1.9, _UNCHECKED),
    ModelFamily("nvidia/parakeet-ctc-1.1b", "ctc", _EN, 1100, "CC-BY-4.0", 1.8),
    ModelFamily(
        "facebook/wav2vec2-base-960h", "ctc", _EN, 94, "Apache-2.0", 3.4, "trained on LibriSpeech only"
    ),
    ModelFamily(
        "facebook/wav2vec2-large-960h-lv60-self", "ctc", _EN, 317, "Apache-2.0", 1.9, "LibriSpeech only"
    ),
    ModelFamily(
        "facebook/hubert-large-ls960-ft", "ctc", _EN, 316, "Apache-2.0", 1.9, "tuned on LibriSpeech only"
    ),
    ModelFamily(
        "facebook/hubert-xlarge-ls960-ft", "ctc", _EN, 964, "Apache-2.0", 1.8, "tuned on LibriSpeech only"
    ),
    ModelFamily(
        "khanhld/wav2vec2-base-vietnamese-160h", "ctc", ("vi",), 94, "CC-BY-NC-4.0", None, _VIETNAMESE
    ),
    ModelFamily("UsefulSensors/moonshine-tiny", "seq2seq", _EN, 27, "MIT", 4.5),
    ModelFamily("UsefulSensors/moonshine-base", "seq2seq", _EN, 62, "MIT", 3.2, "auto on the CPU"),
    ModelFamily("UsefulSensors/moonshine-streaming-tiny", "seq2seq", _EN, 34, "MIT", 4.5, "run offline"),
    ModelFamily("UsefulSensors/moonshine-streaming-small", "seq2seq", _EN, 123, "MIT", 2.5, "run offline"),
    ModelFamily("UsefulSensors/moonshine-streaming-medium", "seq2seq", _EN, 245, "MIT", 2.2, "run offline"),
    ModelFamily("openai/whisper-tiny", "seq2seq", (), 38, "MIT", 7.5),
    ModelFamily("openai/whisper-tiny.en", "seq2seq", _EN, 38, "MIT", 5.7),
    ModelFamily("openai/whisper-base", "seq2seq", (), 73, "MIT", 5.1),
    ModelFamily("openai/whisper-base.en", "seq2seq", _EN, 73, "MIT", 4.2),
    ModelFamily("openai/whisper-small", "seq2seq", (), 242, "MIT", 3.3),
    ModelFamily("openai/whisper-small.en", "seq2seq", _EN, 242, "MIT", 3.1),
    ModelFamily("openai/whisper-medium", "seq2seq", (), 764, "MIT", 2.6),
    ModelFamily("openai/whisper-medium.en", "seq2seq", _EN, 764, "MIT", 2.7),
    ModelFamily("openai/whisper-large", "seq2seq", (), 1550, "MIT", 2.7),
    ModelFamily("openai/whisper-large-v2", "seq2seq", (), 1550, "MIT", 2.7),
    ModelFamily("openai/whisper-large-v3", "seq2seq", (), 1550, "MIT", 1.8),
    ModelFamily("openai/whisper-large-v3-turbo", "seq2seq", (), 809, "MIT", 2.0),
    ModelFamily("distil-whisper/distil-small.en", "seq2seq", _EN, 166, "MIT"),
    ModelFamily("distil-whisper/distil-medium.en", "seq2seq", _EN, 394, "MIT"),
    ModelFamily("distil-whisper/distil-large-v3", "seq2seq", _EN, 756, "MIT"),
    ModelFamily("distil-whisper/distil-large-v3.5", "seq2seq", _EN, 756, "MIT"),
)


class DescribedRecognizer(Recognizer, Protocol):
    """A recognizer that knows what it is."""

    @property
    def family(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def dtype(self) -> str: ...


# By name, without weights of their own; a program may add one.
EMBEDDED: Final[dict[str, Callable[[], DescribedRecognizer]]] = {
    POCKETSPHINX: PocketSphinx,
    FREE: DummyRecognizer,
}


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A recognizer and what it is; itself a recognizer. Only the description can go to another process."""

    recognizer: Recognizer
    description: ModelInfo

    @property
    def languages(self) -> tuple[str, ...]:
        return self.description.languages

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        return self.recognizer.transcribe(requests)


@dataclass(frozen=True, slots=True)
class _Way:
    """How a checkpoint is to be loaded; device: a real one, not auto."""

    device: str
    dtype: str
    hub_timeout: float
    audio_context: "AudioContext"


def load(
    requested: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    hub_timeout: float = HUB_TIMEOUT,
    audio_context: "AudioContext" = "full",
) -> LoadedModel:
    """Builds the recognizer that was asked for; slow, and to be called where it will run.

    requested: auto, pocketsphinx, free, a folder or a hub id; device: auto, cpu, cuda, cuda:1 …; dtype: auto,
    float32, bfloat16, float16, int8; hub_timeout: the most seconds lost when no hub is in reach;
    audio_context: of Whisper's encoder, as Seq2Seq.load has it, and nothing to the others.

    auto is a strong model on CUDA, a small one on the CPU, and PocketSphinx where the wanted one is neither
    in the cache nor to be had from the hub: `description.fallback` then says so.

    Raises ModelUnavailable, UnsupportedModel.
    """
    if requested in EMBEDDED:
        return _embedded(requested, requested)
    way = _Way(choose_device(device), dtype, hub_timeout, audio_context)
    if requested != AUTO:
        return _pretrained(requested, requested, way)
    wanted = AUTO_ON_CUDA if way.device.startswith("cuda") else AUTO_ON_CPU
    try:
        return _pretrained(wanted, requested, way)
    except ModelUnavailable as error:
        return _embedded(POCKETSPHINX, requested, fallback=f"{POCKETSPHINX} in place of {wanted}: {error}")


def warm_up(recognizer: Recognizer) -> None:
    """One second of silence, so that the first client does not pay for what is done once."""
    recognizer.transcribe([RecognitionRequest(Clip(np.zeros(SAMPLE_RATE, dtype=np.float32)))])


def known(model_id: str) -> ModelFamily | None:
    return next((model for model in KNOWN if model.id == model_id), None)


def choose_device(device: str) -> str:
    """auto: the first CUDA device, or the CPU. Without a CUDA driver it does not take torch to tell."""
    if device != "auto":
        return device
    if not _cuda_driver():
        return "cpu"
    import torch

    return "cuda:0" if torch.cuda.is_available() else "cpu"


def _cuda_driver() -> bool:
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _embedded(name: str, requested: str, fallback: str | None = None) -> LoadedModel:
    return _described(EMBEDDED[name](), name, requested, fallback)


def _pretrained(name: str, requested: str, way: _Way) -> LoadedModel:
    """name: a folder or a hub id."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ModelUnavailable(
                f"{folder} has no config.json: it is no folder of a model for transformers"
            )
        return _described(_recognizer(folder, way), folder.resolve().name, requested)
    return _described(_from_hub(name, way), name, requested)


def _from_hub(model_id: str, way: _Way) -> DescribedRecognizer:
    """From the cache, without a question to the hub, if it is whole there."""
    snapshot = model_hub.cached(model_id)
    try:
        if snapshot:
            return _recognizer(snapshot, way)
        missing = f"neither a folder nor in the cache {model_hub.cache_folder()}"
    except ModelUnavailable as error:
        missing = f"not whole in the cache ({error})"
    if obstacle := model_hub.obstacle(model_id, way.hub_timeout):
        raise ModelUnavailable(
            f"{model_id} is {missing}, and {obstacle}. Set HF_HOME to a cache that has it, HF_ENDPOINT to a "
            "hub in reach, or ASR_MODEL to a folder or to pocketsphinx"
        )
    return _recognizer(model_id, way)


def _recognizer(source: str | Path, way: _Way) -> DescribedRecognizer:
    from asr.seq2seq import Seq2Seq
    from asr.transformers_base import model_type

    local = isinstance(source, Path)
    family = _family(model_type(source, local_files_only=local), source)
    if family is not Seq2Seq:
        return family.load(source, device=way.device, dtype=way.dtype, local_files_only=local)
    return Seq2Seq.load(
        source,
        device=way.device,
        dtype=way.dtype,
        local_files_only=local,
        audio_context=way.audio_context,
    )


def _family(kind: str, source: str | Path) -> "type[Ctc | Transducer | Seq2Seq]":
    from asr.ctc import Ctc
    from asr.seq2seq import Seq2Seq
    from asr.transducer import Transducer

    families: tuple[type[Ctc | Transducer | Seq2Seq], ...] = (Ctc, Transducer, Seq2Seq)
    for family in families:
        if kind in family.model_types:
            return family
    supported = sorted(frozenset().union(*(family.model_types for family in families)))
    raise UnsupportedModel(f"{source}: {kind} is none of {', '.join(supported)}")


def _described(
    recognizer: DescribedRecognizer, model: str, requested: str, fallback: str | None = None
) -> LoadedModel:
    entry = known(model)
    return LoadedModel(
        recognizer,
        ModelInfo(
            model=model,
            requested=requested,
            family=recognizer.family,
            device=recognizer.device,
            dtype=recognizer.dtype,
            languages=recognizer.languages or (entry.languages if entry else ()),
            fallback=fallback,
            incremental=getattr(recognizer, "incremental", False),
            translates=getattr(recognizer, "translates", False),
        ),
    )
