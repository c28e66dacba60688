"""The default model: chosen once by measuring, from what is in reach."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from asr.artifact_catalogue import Artifact, ArtifactFile, Variant
from asr.artifacts import ArtifactStore, ArtifactUnavailable
from asr.default_model import (
    ALL_LANGUAGES,
    CHOICE_FILE,
    ENGLISH,
    MAX_SECONDS,
    ROUNDS,
    chosen_default,
    is_default_chosen,
    load_default,
    on_gpu_or_cpu,
)
from asr.devices import available_cores
from asr.recognizer import Hypothesis, RecognitionRequest

FAST, SLOW = MAX_SECONDS / 2, MAX_SECONDS * 2


class TimedRecognizer:
    """Let a clock of its own advance by the given seconds for each clip."""

    languages = ("en",)

    def __init__(self, folder: Path, seconds: float | Sequence[float], clock: "Clock") -> None:
        self.folder = folder
        self.clips = 0
        self._seconds = seconds
        self._clock = clock

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        seconds = self._seconds if isinstance(self._seconds, float) else self._seconds[self.clips]
        self._clock.now += seconds
        self.clips += 1
        return [Hypothesis("") for _ in requests]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Machine:
    """A store whose folder holds some of the models, and recognizers that take `seconds` a clip."""

    def __init__(self, folder: Path, *present: str, seconds: float | Sequence[float] = FAST) -> None:
        contents = {name: name.encode() for name in (ALL_LANGUAGES, ENGLISH)}
        for name in present:
            self.add(folder / "models", name)
        self.store = ArtifactStore(
            folder / "cache",
            folder / "models",
            [
                Artifact(
                    name,
                    "MIT",
                    "a model",
                    (Variant((ArtifactFile("model.bin", len(data), hashlib.sha256(data).hexdigest()),), ()),),
                )
                for name, data in contents.items()
            ],
        )
        self.loaded: list[TimedRecognizer] = []
        self._seconds = seconds
        self.clock = Clock()

    @staticmethod
    def add(models: Path, name: str) -> None:
        (models / name).mkdir(parents=True)
        (models / name / "model.bin").write_bytes(name.encode())

    def load(self, folder: Path) -> TimedRecognizer:
        self.loaded.append(TimedRecognizer(folder, self._seconds, self.clock))
        return self.loaded[-1]

    def choose(self) -> tuple[str, str]:
        default = load_default(self.store, self.load, clocks=[self.clock])
        assert default.recognizer is self.loaded[-1]
        assert default.recognizer.folder.name == default.name
        return default.name, default.reason


def test_a_fast_machine_runs_the_model_for_all_languages(tmp_path: Path) -> None:
    machine = Machine(tmp_path, ALL_LANGUAGES)
    name, reason = machine.choose()
    assert name == ALL_LANGUAGES
    assert reason == "whisper-base took 0.15 s for 4 s of speech on this machine, no more than 0.3 s"
    assert len(machine.loaded) == 1


def test_a_slow_machine_runs_the_small_model(tmp_path: Path) -> None:
    name, reason = Machine(tmp_path, ALL_LANGUAGES, ENGLISH, seconds=SLOW).choose()
    assert name == ENGLISH
    assert "took 0.60 s" in reason
    assert "more than 0.3 s" in reason


def test_the_fastest_round_counts_and_the_first_run_does_not(tmp_path: Path) -> None:
    seconds = [SLOW, *[SLOW] * (ROUNDS - 1), FAST]
    assert Machine(tmp_path, ALL_LANGUAGES, seconds=seconds).choose()[0] == ALL_LANGUAGES


def test_other_work_on_the_machine_does_not_decide(tmp_path: Path) -> None:
    """Elapsed time is long, and the processor time of the process is short."""
    machine = Machine(tmp_path, ALL_LANGUAGES, ENGLISH, seconds=SLOW)

    def busy() -> float:
        return machine.clock() / 4

    clocks = (machine.clock, busy)
    assert load_default(machine.store, machine.load, clocks=clocks).name == ALL_LANGUAGES


def test_the_choice_stays_when_the_machine_is_slower_later(tmp_path: Path) -> None:
    first = Machine(tmp_path, ALL_LANGUAGES, ENGLISH)
    assert not is_default_chosen(first.store)
    assert chosen_default(first.store) is None
    name, reason = first.choose()
    assert is_default_chosen(first.store)
    assert chosen_default(first.store) == name
    later = Machine(tmp_path, seconds=SLOW)
    assert later.choose() == (name, reason)
    assert later.loaded[0].clips == 0, "nothing was measured"


def test_another_machine_measures_again(tmp_path: Path) -> None:
    Machine(tmp_path, ALL_LANGUAGES, ENGLISH).choose()
    file = tmp_path / "cache" / CHOICE_FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | {"processor": "abacus"}))
    assert Machine(tmp_path, seconds=SLOW).choose()[0] == ENGLISH


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model": 1}', '{"model": "whisper-base", "x": 2}', "\0"])
def test_a_damaged_choice_is_made_again(tmp_path: Path, text: str) -> None:
    machine = Machine(tmp_path, ALL_LANGUAGES)
    machine.choose()
    (tmp_path / "cache" / CHOICE_FILE).write_text(text)
    assert machine.choose()[0] == ALL_LANGUAGES


def test_without_the_large_model_the_small_one_runs_and_nothing_is_decided(tmp_path: Path) -> None:
    machine = Machine(tmp_path, ENGLISH)
    assert machine.choose() == (ENGLISH, "whisper-base is not available")
    assert not is_default_chosen(machine.store)


def test_a_slow_machine_without_the_small_model_runs_the_large_one(tmp_path: Path) -> None:
    machine = Machine(tmp_path, ALL_LANGUAGES, seconds=SLOW)
    assert machine.choose() == (ALL_LANGUAGES, "whisper-tiny.en would be faster, but is not available")
    assert not is_default_chosen(machine.store)
    Machine.add(tmp_path / "models", ENGLISH)
    assert machine.choose()[0] == ENGLISH


def test_the_error_without_any_model_names_both(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    with pytest.raises(ArtifactUnavailable) as error:
        machine.choose()
    assert ALL_LANGUAGES in str(error.value)
    assert ENGLISH in str(error.value)


def test_a_cache_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    machine = Machine(tmp_path, ALL_LANGUAGES)
    (tmp_path / "file").touch()
    machine.store = replace(machine.store, cache=tmp_path / "file" / "cache")
    assert machine.choose()[0] == ALL_LANGUAGES


def no_gpu(folder: Path) -> TimedRecognizer:
    raise RuntimeError("Library libcublas.so.12 is not found")


class NoLibrary(TimedRecognizer):
    """Load, and fail when it first runs, as CTranslate2 does without CUDA's libraries."""

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        return [] if not requests else [Hypothesis(str(no_gpu(self.folder)))]


def test_where_the_gpu_cannot_be_used_the_cpu_is(tmp_path: Path) -> None:
    machine = Machine(tmp_path, ALL_LANGUAGES)

    def without_library(folder: Path) -> TimedRecognizer:
        return NoLibrary(folder, FAST, machine.clock)

    for load_on_gpu in (no_gpu, without_library):
        on_cpu = on_gpu_or_cpu(load_on_gpu, machine.load)(tmp_path)
        assert on_cpu is machine.loaded[-1]
    assert len(machine.loaded) == 2
    assert on_gpu_or_cpu(machine.load, no_gpu)(tmp_path) is machine.loaded[-1]


@pytest.mark.parametrize(
    ("text", "most"),
    [("50000 100000", 1), ("150000 100000", 2), ("max 100000", 999), ("", 999), ("1 0", 999)],
)
def test_the_cores_are_those_of_the_container(tmp_path: Path, text: str, most: int) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text(text)
    unlimited = available_cores(tmp_path / "absent")
    assert available_cores(quota) == min(unlimited, most)
