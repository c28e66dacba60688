"""Convert a tiny Whisper once into a cache."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from safetensors.torch import load_file, save_file

from asr import model_registry
from asr.ctranslate2_conversion import FOLDER, converted
from asr.errors import UnsupportedModel
from asr.recognizer import RecognitionRequest
from audio.clip import Clip
from bench.accuracy.corpus import read_manifest
from tests.asr import tiny
from tests.asr.real_weights import ctranslate2_weights, transformers_weights
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
AUDIO = ROOT.parent / "shared" / "audio" / "librispeech"
pytestmark = pytest.mark.slow
# Stands for the converter, which imports torch, where a test is of the cache and not of what is in it.
COPY = ("-c", "import shutil, sys; shutil.copytree(*sys.argv[1:])")


class Reports:
    """Keep what is reported."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.seconds: list[float | None] = []

    def progress(self, what: str, done: int, total: int | None) -> None:
        raise AssertionError("nothing is downloaded")

    def conversion(self, what: str, seconds: float | None) -> None:
        self.seconds.append(seconds)

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.whisper(tmp_path_factory.mktemp("models") / "whisper")


@pytest.fixture(scope="module")
def shared_cache(whisper: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache of models with the converted model, for tests that do not change it."""
    cache = tmp_path_factory.mktemp("cache")
    converted(whisper, cache / FOLDER)
    return cache


@pytest.fixture(scope="module")
def copied(shared_cache: Path) -> tuple[str, str]:
    """Return a program that copies the converted model instead of converting one again."""
    (model,) = folders(shared_cache / FOLDER)
    return ("-c", f"import shutil, sys; shutil.copytree({str(model)!r}, sys.argv[2])")


@pytest.fixture
def source(whisper: Path, tmp_path: Path) -> Path:
    """Return a copy of the model that a test may change."""
    return Path(shutil.copytree(whisper, tmp_path / "sources" / "whisper"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder for converted models in a cache that is empty."""
    monkeypatch.setenv("ASR_MODEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / FOLDER


def folders(cache: Path) -> list[Path]:
    return [path for path in cache.iterdir() if path.is_dir()]


def test_concurrent_conversions_share_one_result(source: Path, cache: Path, copied: tuple[str, str]) -> None:
    reports = Reports(), Reports()
    with ThreadPoolExecutor() as threads:
        first, second = threads.map(lambda each: converted(source, reporter=each, program=copied), reports)
    assert first == second
    assert folders(cache) == [first]
    notes = sorted(note.split(" ")[0] for each in reports for note in each.notes)
    assert notes == ["Another", "Converting", "whisper"]
    seconds = [value for each in reports for value in each.seconds]
    assert seconds[-1] is None
    loaded = model_registry.load(str(first), device="cpu")
    assert loaded.description.family == "ctranslate2"
    assert loaded.transcribe([RecognitionRequest(tiny.babble(1))])[0].text


def test_changed_model_replaces_its_conversion(source: Path, cache: Path) -> None:
    before = converted(source, program=COPY)
    os.utime(source / "model.safetensors", (0, 0))
    after = converted(source, program=COPY)
    assert after != before
    assert folders(cache) == [after]
    generation = source / "generation_config.json"
    generation.write_text(json.dumps(json.loads(generation.read_text()) | {"alignment_heads": [[0, 0]]}))
    assert converted(source, program=COPY) != after


def test_conversion_of_removed_model_is_removed(source: Path, whisper: Path, cache: Path) -> None:
    converted(source, program=COPY)
    shutil.rmtree(source)
    kept = converted(whisper, program=COPY)
    assert folders(cache) == [kept]


def test_unsupported_model_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "bert"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "babelfish"}))
    with pytest.raises(UnsupportedModel, match="cannot be converted for CTranslate2"):
        converted(folder)
    assert folders(cache) == []


def test_incomplete_weights_are_not_converted(
    source: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Transformers would fill them up with random numbers."""
    weights = load_file(source / "model.safetensors")
    del weights["model.encoder.layer_norm.weight"]
    save_file(weights, source / "model.safetensors", {"format": "pt"})
    with pytest.raises(UnsupportedModel, match="has no weights for"):
        model_registry.load(str(source), device="cpu")
    assert "no weights for model.encoder.layer_norm.weight" in caplog.text


def test_full_disk_leaves_whisper_on_torch(
    source: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file with nothing in it stands for weights that are larger than the disk."""
    with (source / "adapter.safetensors").open("wb") as file:
        file.truncate(2 * shutil.disk_usage(source).free + 2**30)
    description = model_registry.load(str(source), device="cpu", dtype="float32").description
    assert description.family == "seq2seq"
    assert "MB free" in (description.reason or "")
    assert "model.not_converted" in caplog.text
    with pytest.raises(UnsupportedModel, match="MB free"):
        model_registry.load(f"ctranslate2:{source}", device="cpu")
    assert folders(cache) == []


def test_unwritable_cache_leaves_whisper_on_torch(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ASR_MODEL_CACHE", str(tmp_path / "file"))
    description = model_registry.load(str(source), device="cpu", dtype="float32").description
    assert description.family == "seq2seq"
    assert "Not a directory" in (description.reason or "")


def test_damaged_conversion_is_removed_and_made_again(
    source: Path, cache: Path, copied: tuple[str, str]
) -> None:
    folder = converted(source, program=copied)
    (folder / "model.bin").write_bytes(b"damaged")
    assert model_registry.load(str(source), device="cpu", dtype="float32").description.family == "seq2seq"
    assert folders(cache) == []
    assert converted(source, program=copied) == folder
    assert model_registry.load(str(source), device="cpu").description.family == "ctranslate2"


@pytest.mark.parametrize(
    ("prefix", "dtype", "family"),
    [
        ("", "auto", "ctranslate2"),
        ("", "float32", "ctranslate2"),
        ("", "bfloat16", "seq2seq"),
        ("torch:", "float32", "seq2seq"),
        ("ctranslate2:", "int8", "ctranslate2"),
    ],
)
def test_family_depends_on_prefix_and_number_format(
    prefix: str,
    dtype: str,
    family: str,
    whisper: Path,
    cache: Path,
    shared_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if family == "ctranslate2":
        monkeypatch.setenv("ASR_MODEL_CACHE", str(shared_cache))
    loaded = model_registry.load(f"{prefix}{whisper}", device="cpu", dtype=dtype)
    assert (loaded.description.family, loaded.description.model) == (family, "whisper")
    assert loaded.description.reason is None
    assert not cache.exists()


def test_model_of_the_hub_is_converted_from_its_snapshot(whisper: Path, tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--org--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc123")
    shutil.copytree(whisper, repository / "snapshots" / "abc123")
    program = """
from asr import model_registry
print(model_registry.load("org/name", device="cpu").description.summary)
"""
    told = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ
        | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "hub"), "ASR_MODEL_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert told.stdout.startswith("model=org/name family=ctranslate2 device=cpu dtype=int8"), told.stderr
    assert len(list((tmp_path / FOLDER).glob("org--name-*/model.bin"))) == 1


def test_converter_ends_with_its_parent(source: Path, cache: Path) -> None:
    """What a killed conversion leaves is removed by the next one."""
    program = f"""
from pathlib import Path
from asr.ctranslate2_conversion import converted
converted(Path({str(source)!r}))
"""
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, text=True) as parent:
        wait_until(lambda: list(cache.glob("*/stderr")))
        wait_until(psutil.Process(parent.pid).children)
        (child,) = psutil.Process(parent.pid).children()
        parent.kill()
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    (left,) = folders(cache)
    made = converted(source, program=COPY)
    assert folders(cache) == [made] != [left]


def test_converted_weights_write_the_text_of_the_published_ones(tmp_path: Path, cache: Path) -> None:
    name = "whisper-tiny.en"
    published = ctranslate2_weights(name)
    source = transformers_weights(name, tmp_path / name)
    if not AUDIO.is_dir():
        pytest.skip(f"{AUDIO} is absent")
    requests = [RecognitionRequest(Clip(entry.read())) for entry in read_manifest(AUDIO)[::80]]
    loaded = model_registry.load(str(source), device="cpu")
    assert loaded.description.family == "ctranslate2"
    expected = model_registry.load(str(published), device="cpu").transcribe(requests)
    for other, answer in zip(expected, loaded.transcribe(requests), strict=True):
        assert answer.text == other.text
