"""List the known models and load a recognizer by name; torch is imported only for a model that needs it."""

import difflib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from asr import model_hub
from asr.artifact_catalogue import ARTIFACTS
from asr.artifacts import ArtifactStore, ArtifactUnavailable, LogReporter, Reporter, default_cache
from asr.default_model import load_default, on_gpu_or_cpu
from asr.devices import choose_device
from asr.dummy import NAME as DUMMY
from asr.dummy import DummyRecognizer
from asr.errors import ModelUnavailable, UnsupportedModel
from asr.recognizer import Hypothesis, ModelInfo, RecognitionRequest, Recognizer

if TYPE_CHECKING:
    from asr.ctc import Ctc
    from asr.seq2seq import Seq2Seq
    from asr.transducer import Transducer
    from asr.windows import AudioContext

log = logging.getLogger(__name__)

AUTO: Final = "auto"
POCKETSPHINX: Final = "pocketsphinx"
AUTO_ON_CUDA: Final = "nvidia/parakeet-tdt-0.6b-v3"
CONVERTED: Final = "ctranslate2:"  # precedes the name of a Whisper that must run on CTranslate2
NOT_CONVERTED: Final = "torch:"  # precedes the name of a Whisper that must run on PyTorch
CTRANSLATE2: Final = "ctranslate2"  # the family
SILENCE: Final = "encoded-silence"  # folder in the cache of the models
POOR_WORDS: Final = "The words will be poor: PocketSphinx runs, because {cause}."
NOT_IN_REACH: Final = (
    "no Whisper model is in reach. With a network, `./entrypoint.sh pull auto` downloads one; then restart "
    "the server"
)
HUB_TIMEOUT: Final = 3.0  # seconds; without a reachable hub a start should take no more than five seconds


@dataclass(frozen=True, slots=True)
class KnownModel:
    """Describe a published model.

    languages: ISO 639-1 codes; () for the hundred languages of Whisper
    parameters_m: parameters in millions
    licence: licence of the weights
    wer: published word error rate on LibriSpeech test-clean in percent, greedy decoding; None if unknown
    """

    id: str
    family: str
    languages: tuple[str, ...]
    parameters_m: int | None
    licence: str
    wer: float | None = None
    note: str = ""


_EN: Final = ("en",)
_EUROPEAN: Final = (
    *("bg", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "hr", "hu", "it"),
    *("lt", "lv", "mt", "nl", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "uk"),
)
_UNCHECKED: Final = "not checked that the hub has its weights for transformers"
_NVIDIA: Final = "NVIDIA Open Model License"
_VIETNAMESE: Final = "no commercial use; WER 15.1 on VIVOS, 10.8 on Common Voice 8"

KNOWN_MODELS: Final = (
    KnownModel(
        "pocketsphinx", "pocketsphinx", _EN, None, "BSD-2-Clause", None, "in its wheel; about 42 % WER here"
    ),
    KnownModel("nvidia/parakeet-tdt-0.6b-v3", "transducer", _EUROPEAN, 627, "CC-BY-4.0", 1.9, "auto on CUDA"),
    KnownModel("nvidia/parakeet-tdt-0.6b-v2", "transducer", _EN, 618, "CC-BY-4.0", 1.7, _UNCHECKED),
    KnownModel("nvidia/parakeet-tdt-1.1b", "transducer", _EN, 1100, "CC-BY-4.0", 1.4, _UNCHECKED),
    KnownModel("nvidia/parakeet-rnnt-0.6b", "transducer", _EN, 617, "CC-BY-4.0", 1.6, _UNCHECKED),
    KnownModel("nvidia/parakeet-rnnt-1.1b", "transducer", _EN, 1100, "CC-BY-4.0", 1.5, _UNCHECKED),
    KnownModel(
        "nvidia/nemotron-speech-streaming-en-0.6b", "transducer", _EN, 600, _NVIDIA, 2.3, "run offline"
    ),
    KnownModel("nvidia/parakeet-ctc-0.6b", "ctc", _EN, 609, "CC-BY-4.0", 1.9, _UNCHECKED),
    KnownModel("nvidia/parakeet-ctc-1.1b", "ctc", _EN, 1100, "CC-BY-4.0", 1.8),
    KnownModel(
        "facebook/wav2vec2-base-960h", "ctc", _EN, 94, "Apache-2.0", 3.4, "trained on LibriSpeech only"
    ),
    KnownModel(
        "facebook/wav2vec2-large-960h-lv60-self", "ctc", _EN, 317, "Apache-2.0", 1.9, "LibriSpeech only"
    ),
    KnownModel(
        "facebook/hubert-large-ls960-ft", "ctc", _EN, 316, "Apache-2.0", 1.9, "tuned on LibriSpeech only"
    ),
    KnownModel(
        "facebook/hubert-xlarge-ls960-ft", "ctc", _EN, 964, "Apache-2.0", 1.8, "tuned on LibriSpeech only"
    ),
    KnownModel(
        "khanhld/wav2vec2-base-vietnamese-160h", "ctc", ("vi",), 94, "CC-BY-NC-4.0", None, _VIETNAMESE
    ),
    KnownModel("UsefulSensors/moonshine-tiny", "seq2seq", _EN, 27, "MIT", 4.5),
    KnownModel("UsefulSensors/moonshine-base", "seq2seq", _EN, 62, "MIT", 3.2),
    KnownModel("UsefulSensors/moonshine-streaming-tiny", "seq2seq", _EN, 34, "MIT", 4.5, "run offline"),
    KnownModel("UsefulSensors/moonshine-streaming-small", "seq2seq", _EN, 123, "MIT", 2.5, "run offline"),
    KnownModel("UsefulSensors/moonshine-streaming-medium", "seq2seq", _EN, 245, "MIT", 2.2, "run offline"),
    KnownModel("openai/whisper-tiny", "seq2seq", (), 38, "MIT", 7.5),
    KnownModel("openai/whisper-tiny.en", "seq2seq", _EN, 38, "MIT", 5.7),
    KnownModel("openai/whisper-base", "seq2seq", (), 73, "MIT", 5.1),
    KnownModel("openai/whisper-base.en", "seq2seq", _EN, 73, "MIT", 4.2),
    KnownModel("openai/whisper-small", "seq2seq", (), 242, "MIT", 3.3),
    KnownModel("openai/whisper-small.en", "seq2seq", _EN, 242, "MIT", 3.1),
    KnownModel("openai/whisper-medium", "seq2seq", (), 764, "MIT", 2.6),
    KnownModel("openai/whisper-medium.en", "seq2seq", _EN, 764, "MIT", 2.7),
    KnownModel("openai/whisper-large", "seq2seq", (), 1550, "MIT", 2.7),
    KnownModel("openai/whisper-large-v2", "seq2seq", (), 1550, "MIT", 2.7),
    KnownModel("openai/whisper-large-v3", "seq2seq", (), 1550, "MIT", 1.8),
    KnownModel("openai/whisper-large-v3-turbo", "seq2seq", (), 809, "MIT", 2.0),
    *(
        KnownModel(f"Systran/faster-whisper-{size}", CTRANSLATE2, languages, parameters, "MIT")
        for size, languages, parameters in (
            ("tiny", (), 38),
            ("tiny.en", _EN, 38),
            ("base", (), 73),
            ("base.en", _EN, 73),
            ("small", (), 242),
            ("small.en", _EN, 242),
            ("medium", (), 764),
            ("large-v3", (), 1550),
        )
    ),
    KnownModel("deepdml/faster-whisper-large-v3-turbo-ct2", CTRANSLATE2, (), 809, "MIT"),
    KnownModel("distil-whisper/distil-small.en", "seq2seq", _EN, 166, "MIT"),
    KnownModel("distil-whisper/distil-medium.en", "seq2seq", _EN, 394, "MIT"),
    KnownModel("distil-whisper/distil-large-v3", "seq2seq", _EN, 756, "MIT"),
    KnownModel("distil-whisper/distil-large-v3.5", "seq2seq", _EN, 756, "MIT"),
)


class DescribedRecognizer(Recognizer, Protocol):
    """Recognize speech and describe the own model."""

    @property
    def family(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def dtype(self) -> str: ...


def _pocketsphinx() -> DescribedRecognizer:
    from asr.pocketsphinx import PocketSphinx  # Only a fallback, so it is not imported with this module.

    return PocketSphinx()


# Recognizers without weights of their own, by name; a program may add one.
EMBEDDED: Final[dict[str, Callable[[], DescribedRecognizer]]] = {
    POCKETSPHINX: _pocketsphinx,
    DUMMY: DummyRecognizer,
}


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """Combine a recognizer with its description. Only the description can be sent to another process."""

    recognizer: Recognizer
    description: ModelInfo

    @property
    def languages(self) -> tuple[str, ...]:
        return self.description.languages

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        return self.recognizer.transcribe(requests)


@dataclass(frozen=True, slots=True)
class _CheckpointOptions:
    """Hold the options for loading a checkpoint.

    device: cpu, cuda or cuda:N, not auto
    language_model: as in load
    reporter: reports downloads
    convert: whether to convert a Whisper of transformers for CTranslate2; None for where it is faster
    """

    device: str
    dtype: str
    hub_timeout: float
    audio_context: "AudioContext"
    reporter: Reporter
    language_model: str = ""
    convert: bool | None = None


def load(
    requested: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    hub_timeout: float = HUB_TIMEOUT,
    audio_context: "AudioContext" = "auto",
    language_model: str = "",
    reporter: Reporter | None = None,
    may_fall_back: bool = True,
) -> LoadedModel:
    """Load the requested recognizer. The call is slow; make it in the process that runs the recognizer.

    requested: auto, a name of asr.artifact_catalogue, pocketsphinx, free, a folder, a hub id, or CONVERTED
        or NOT_CONVERTED and a folder or hub id
    device: auto, cpu, cuda, cuda:1 …
    dtype: auto, float32, bfloat16, float16 or int8
    hub_timeout: most seconds to wait for a hub that cannot be reached
    audio_context: audio context of Whisper's encoder (see Seq2Seq.load and Ctranslate2Whisper.load); other
        families ignore it
    language_model: path of an ARPA file with the words of the language, for CTC models; "" for none. Other
        families ignore it
    reporter: reports downloads; None for the log
    may_fall_back: whether auto may select PocketSphinx

    On a CPU a Whisper in transformers' format is converted for CTranslate2, once, unless only PyTorch has the
    dtype. If the conversion fails, PyTorch runs it and `description.reason` says so.

    auto selects Parakeet on CUDA and one of two sizes of Whisper on a CPU (asr.default_model), which is
    downloaded if need be. Where no model is in reach, PocketSphinx takes its place and
    `description.fallback` says so.

    Raises ModelUnavailable and UnsupportedModel.
    """
    if requested in EMBEDDED:
        return _embedded(requested, requested)
    options = _CheckpointOptions(
        choose_device(device), dtype, hub_timeout, audio_context, reporter or LogReporter(), language_model
    )
    if requested == AUTO:
        return _load_auto(options, may_fall_back=may_fall_back)
    if any(artifact.name == requested for artifact in ARTIFACTS):
        folder = ArtifactStore.from_environment().fetch(requested, options.reporter)
        return _described(_recognizer(folder, options), requested, requested)
    for prefix, convert in ((CONVERTED, True), (NOT_CONVERTED, False)):
        if requested.startswith(prefix):
            name = requested.removeprefix(prefix)
            return _pretrained(name, requested, replace(options, convert=convert))
    return _pretrained(requested, requested, options)


def _load_auto(options: _CheckpointOptions, *, may_fall_back: bool) -> LoadedModel:
    """Load the default for the device, or PocketSphinx if none is in reach."""
    not_on_cuda = None
    if options.device.startswith("cuda"):
        try:
            return _pretrained(AUTO_ON_CUDA, AUTO, options)
        except ModelUnavailable as error:
            not_on_cuda = f"{AUTO_ON_CUDA} is not available: {error}"
    store = ArtifactStore.from_environment()
    try:
        default = load_default(store, _default_loader(options), options.reporter)
    except ModelUnavailable as error:
        if not may_fall_back:
            raise
        log.warning("default_model.unavailable: %s", error)
        problem = error.cache_problem if isinstance(error, ArtifactUnavailable) else None
        cause = f"the model cannot be stored in {problem}" if problem else NOT_IN_REACH
        return _embedded(POCKETSPHINX, AUTO, fallback=POOR_WORDS.format(cause=cause))
    loaded = _described(default.recognizer, default.name, AUTO)
    reason = default.reason if not_on_cuda is None else f"{not_on_cuda}. {default.reason}"
    return replace(loaded, description=replace(loaded.description, reason=reason))


def _default_loader(options: _CheckpointOptions) -> Callable[[Path], DescribedRecognizer]:
    """Return a function that loads the default Whisper from a folder."""

    def load_on_device(folder: Path) -> DescribedRecognizer:
        return _recognizer(folder, options)

    if not options.device.startswith("cuda"):
        return load_on_device
    on_cpu = replace(options, device="cpu", dtype="auto")
    return on_gpu_or_cpu(load_on_device, lambda folder: _recognizer(folder, on_cpu))


def known_model(model_id: str) -> KnownModel | None:
    return next((model for model in KNOWN_MODELS if model.id == model_id), None)


def _embedded(name: str, requested: str, fallback: str | None = None) -> LoadedModel:
    return _described(EMBEDDED[name](), name, requested, fallback)


def _pretrained(name: str, requested: str, options: _CheckpointOptions) -> LoadedModel:
    """Load a checkpoint; name: a folder or a hub id."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ModelUnavailable(
                f"{folder} has no config.json, so it does not hold a model for transformers"
            )
        return _loaded(folder, folder.resolve().name, requested, options)
    if name.startswith((".", "~")) or folder.is_absolute():
        raise ModelUnavailable(f"there is no folder {folder}")
    if "/" not in name:
        names = [AUTO, *(artifact.name for artifact in ARTIFACTS), *EMBEDDED]
        nearest = difflib.get_close_matches(name, names, 1)
        hint = f"Did you mean {nearest[0]}? " if nearest else ""
        raise ModelUnavailable(
            f"{name} is no known model, no folder and no id of the hub (org/name). {hint}"
            "`./entrypoint.sh models` lists the known ones"
        )
    return _from_hub(name, requested, options)


def _from_hub(model_id: str, requested: str, options: _CheckpointOptions) -> LoadedModel:
    """Load a model from the cache without a request to the hub, or else from the hub."""
    snapshot = model_hub.cached_snapshot(model_id)
    try:
        if snapshot:
            return _loaded(snapshot, model_id, requested, options)
        missing = f"neither a folder nor in the cache {model_hub.cache_folder()}"
    except ModelUnavailable as error:
        missing = f"incomplete in the cache ({error})"
    if reason := model_hub.unavailable_reason(model_id, options.hub_timeout):
        raise ModelUnavailable(
            f"{model_id} is {missing}, and {reason}. Set HF_HOME to a cache that has it, HF_ENDPOINT to a "
            "reachable hub, or ASR_MODEL to a folder or to pocketsphinx"
        )
    snapshot = model_hub.download(model_id, options.hub_timeout, options.reporter.progress)
    return _loaded(snapshot, model_id, requested, options)


def _loaded(source: Path, model: str, requested: str, options: _CheckpointOptions) -> LoadedModel:
    """Load a model from its folder; convert it for CTranslate2 first where that is asked for or faster.

    model: its name in the description
    """
    wanted = _is_faster_converted(source, options) if options.convert is None else options.convert
    if not wanted or _is_ctranslate2(source):
        return _described(_recognizer(source, options), model, requested)
    try:
        return _described(_converted(source, options), model, requested)
    except UnsupportedModel as error:
        if options.convert:
            raise
        reason = f"PyTorch runs {model}, because {error}"
    log.warning("model.not_converted: %s", reason)
    loaded = _described(_recognizer(source, options), model, requested)
    return replace(loaded, description=replace(loaded.description, reason=reason))


def _is_faster_converted(source: Path, options: _CheckpointOptions) -> bool:
    """Return whether a model is a Whisper that CTranslate2 can run in the chosen number format, on a CPU."""
    if options.device != "cpu" or options.dtype not in ("auto", "int8", "float32"):
        return False
    try:
        config = json.loads((source / "config.json").read_bytes())
    except (OSError, ValueError):  # The family that loads it says what is wrong.
        return False
    return isinstance(config, dict) and config.get("model_type") == "whisper"


def _converted(source: Path, options: _CheckpointOptions) -> DescribedRecognizer:
    """Convert a Whisper unless the cache has it converted, and load it. Raises UnsupportedModel."""
    from asr.ctranslate2_conversion import converted, discard

    try:
        folder = converted(source, reporter=options.reporter)
        try:
            return _recognizer(folder, options)
        except (ModelUnavailable, UnsupportedModel) as error:
            if options.device != "cpu":  # The GPU may be the cause.
                raise
            discard(folder)
            raise UnsupportedModel(f"{folder} could not be loaded and was removed: {error}") from error
    except OSError as error:
        raise UnsupportedModel(f"{source} cannot be converted for CTranslate2: {error}") from error


def _recognizer(source: Path, options: _CheckpointOptions) -> DescribedRecognizer:
    if _is_ctranslate2(source):
        from asr.ctranslate2_whisper import Ctranslate2Whisper

        return Ctranslate2Whisper.load(
            source,
            device=options.device,
            dtype=options.dtype,
            audio_context=options.audio_context,
            cache=default_cache() / SILENCE,
        )
    from asr.ctc import Ctc
    from asr.seq2seq import Seq2Seq
    from asr.transformers_base import model_type

    family = _family(model_type(source, local_files_only=True), source)
    if family is Ctc:
        return Ctc.load(
            source,
            device=options.device,
            dtype=options.dtype,
            local_files_only=True,
            language_model=options.language_model,
        )
    if family is not Seq2Seq:
        return family.load(source, device=options.device, dtype=options.dtype, local_files_only=True)
    return Seq2Seq.load(
        source,
        device=options.device,
        dtype=options.dtype,
        local_files_only=True,
        audio_context=options.audio_context,
    )


def _is_ctranslate2(folder: Path) -> bool:
    """Return whether a folder holds a model in CTranslate2's format.

    Such folders have a model.bin, and their config.json names no type as that of transformers does.
    """
    config = folder / "config.json"
    if not (folder / "model.bin").is_file() or not config.is_file():
        return False
    return "model_type" not in json.loads(config.read_text(encoding="utf-8"))


def _family(kind: str, source: str | Path) -> "type[Ctc | Transducer | Seq2Seq]":
    from asr.ctc import Ctc
    from asr.seq2seq import Seq2Seq
    from asr.transducer import Transducer

    families: tuple[type[Ctc | Transducer | Seq2Seq], ...] = (Ctc, Transducer, Seq2Seq)
    for family in families:
        if kind in family.model_types:
            return family
    supported = sorted(frozenset().union(*(family.model_types for family in families)))
    raise UnsupportedModel(f"{source} has the unsupported type {kind}; supported: {', '.join(supported)}")


def _described(
    recognizer: DescribedRecognizer, model: str, requested: str, fallback: str | None = None
) -> LoadedModel:
    entry = known_model(model)
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
            continues=getattr(recognizer, "continues", False),
            translates=getattr(recognizer, "translates", False),
            punctuates=getattr(recognizer, "punctuates", True),
        ),
    )
