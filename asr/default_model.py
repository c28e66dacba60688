"""Choose the model that `auto` means on a CPU, by how fast this machine runs it.

whisper-base knows 99 languages and is twice as large as whisper-tiny.en, which knows English. The first load
measures whisper-base on a few seconds of speech. The choice is kept in the cache of the models, because a
server must not understand other languages after a restart on a busy machine.
"""

import json
import logging
import time
import wave
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

import numpy as np

from asr.artifacts import ArtifactStore, ArtifactUnavailable, Reporter
from asr.devices import available_cores, processor_name
from asr.errors import UnsupportedModel
from asr.file_writer import write_whole
from asr.recognizer import RecognitionRequest, Recognizer, warm_up
from audio.clip import SAMPLE_RATE, Clip, Samples

ALL_LANGUAGES: Final = "whisper-base"
ENGLISH: Final = "whisper-tiny.en"
SPEECH: Final = Path(__file__).parents[1] / "test.wav"
SPEECH_SECONDS: Final = 4
# A final that takes longer is felt as a delay, and partials of a growing clip would occupy a small machine.
MAX_SECONDS: Final = 0.3
ROUNDS: Final = 3  # the fastest counts: other work on the machine only slows a round down
CHOICE_FILE: Final = "default.json"

Model = TypeVar("Model", bound=Recognizer)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DefaultModel(Generic[Model]):
    """Hold the loaded default.

    name: of the catalogue
    reason: why this model, in a sentence for people
    """

    name: str
    recognizer: Model
    reason: str


@dataclass(frozen=True, slots=True)
class _Choice:
    """Hold the choice for a machine; seconds: that whisper-base took, at best."""

    model: str
    seconds: float
    processor: str
    cores: int

    @property
    def reason(self) -> str:
        """Return the reason as a sentence."""
        comparison = "no more" if self.model == ALL_LANGUAGES else "more"
        return (
            f"{ALL_LANGUAGES} took {self.seconds:.2f} s for {SPEECH_SECONDS} s of speech on this machine, "
            f"{comparison} than {MAX_SECONDS:g} s"
        )


def _busy_seconds_per_core() -> float:
    """Return the processor time of this process, divided by the cores that it uses."""
    return time.process_time() / available_cores()


def load_default(
    store: ArtifactStore,
    load: Callable[[Path], Model],
    reporter: Reporter | None = None,
    clocks: Sequence[Callable[[], float]] = (time.perf_counter, _busy_seconds_per_core),
) -> DefaultModel[Model]:
    """Load the default model; download it, and measure it if this machine has not done so yet.

    load: loads the model in a folder
    clocks: seconds, to measure with; the least time counts. Other work on the machine lengthens elapsed time,
        but hardly the processor time of this process
    Raises ArtifactUnavailable if neither model is available.
    """
    chosen = _read_choice(store.cache)
    if chosen is not None and (folder := store.find(chosen.model)):
        return DefaultModel(chosen.model, load(folder), chosen.reason)
    try:
        recognizer = load(store.fetch(ALL_LANGUAGES, reporter))
    except ArtifactUnavailable as missing:
        english = _english(store, load, reporter, missing)
        return DefaultModel(ENGLISH, english, f"{ALL_LANGUAGES} is not available")
    seconds = _measure(recognizer, clocks)
    choice = _Choice(ALL_LANGUAGES if seconds <= MAX_SECONDS else ENGLISH, seconds, *_machine())
    if choice.model == ENGLISH:
        try:
            recognizer = load(store.fetch(ENGLISH, reporter))
        except ArtifactUnavailable as missing:
            log.warning("default_model.slow: %s, and %s", choice.reason, missing)
            return DefaultModel(ALL_LANGUAGES, recognizer, f"{ENGLISH} would be faster, but is not available")
    _write_choice(store.cache, choice)
    return DefaultModel(choice.model, recognizer, choice.reason)


def on_gpu_or_cpu(
    load_on_gpu: Callable[[Path], Model], load_on_cpu: Callable[[Path], Model]
) -> Callable[[Path], Model]:
    """Return a loader that takes the CPU where the GPU cannot be used.

    CTranslate2 needs CUDA 12's libraries, and looks for them when it first runs, so it runs once here.
    """

    def load(folder: Path) -> Model:
        try:
            recognizer = load_on_gpu(folder)
            warm_up(recognizer)
            return recognizer
        except (UnsupportedModel, RuntimeError) as error:
            log.warning("default_model.no_gpu: %s", error)
            return load_on_cpu(folder)

    return load


def chosen_default(store: ArtifactStore) -> str | None:
    """Return the name of the model that this machine chose on its CPU; None if it has not chosen yet."""
    choice = _read_choice(store.cache)
    return None if choice is None else choice.model


def is_default_chosen(store: ArtifactStore | None = None) -> bool:
    """Return whether this machine has chosen its default before."""
    return chosen_default(store or ArtifactStore.from_environment()) is not None


def _english(
    store: ArtifactStore,
    load: Callable[[Path], Model],
    reporter: Reporter | None,
    missing: ArtifactUnavailable,
) -> Model:
    try:
        return load(store.fetch(ENGLISH, reporter))
    except ArtifactUnavailable as error:
        reasons = (*missing.reasons, *error.reasons)
        problem = missing.cache_problem or error.cache_problem
        raise ArtifactUnavailable(f"{missing}. {error}", reasons, problem) from error


def _measure(recognizer: Recognizer, clocks: Sequence[Callable[[], float]]) -> float:
    """Return the least time in seconds for a clip of speech; the first round builds what is built once."""
    request = RecognitionRequest(Clip(_speech()))
    recognizer.transcribe([request])
    rounds = []
    for _ in range(ROUNDS):
        begun = [clock() for clock in clocks]
        recognizer.transcribe([request])
        rounds += [clock() - start for clock, start in zip(clocks, begun, strict=True)]
    return min(rounds)


def _speech() -> Samples:
    """Return the first seconds of test.wav: float32 (n,) at 16 kHz, or noise where the file is missing."""
    count = SPEECH_SECONDS * SAMPLE_RATE
    try:
        with wave.open(str(SPEECH)) as file:
            pcm = np.frombuffer(file.readframes(count), "<i2")
    except (OSError, EOFError, wave.Error):
        noise = np.random.default_rng(0).standard_normal(count)
        return (0.1 * noise).astype(np.float32)
    return pcm.astype(np.float32) / np.float32(32768)


def _machine() -> tuple[str, int]:
    """Return the name of the processor and the number of cores that this process may use."""
    return processor_name(), available_cores()


def _read_choice(cache: Path) -> _Choice | None:
    """Return the choice for this machine; None if there is none, or it was made on another one."""
    try:
        choice = _Choice(**json.loads((cache / CHOICE_FILE).read_text()))
        same_machine = (choice.processor, choice.cores) == _machine()
        return choice if same_machine and choice.model in (ALL_LANGUAGES, ENGLISH) else None
    except (OSError, ValueError, TypeError):
        return None


def _write_choice(cache: Path, choice: _Choice) -> None:
    """Keep the choice; where the cache cannot be written, the next load measures again."""
    try:
        write_whole(cache / CHOICE_FILE, json.dumps(asdict(choice)).encode())
    except OSError as error:
        log.debug("default_model.choice_not_written error=%s", error)
