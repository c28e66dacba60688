"""Convert a tiny Whisper once into a cache."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from asr import model_registry
from asr.ctranslate2_conversion import converted
from asr.errors import UnsupportedModel
from asr.recognizer import RecognitionRequest
from tests.asr import tiny

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.whisper(tmp_path_factory.mktemp("models") / "whisper")


@pytest.mark.slow
def test_concurrent_conversions_share_one_result(
    source: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASR_MODEL_CACHE", str(tmp_path_factory.mktemp("cache")))
    with ThreadPoolExecutor() as threads:
        first, second = threads.map(lambda _: converted(source, tmp_path), range(2))
    assert first == second
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [first]
    loaded = model_registry.load(str(first), device="cpu")
    assert loaded.description.family == "ctranslate2"
    assert loaded.transcribe([RecognitionRequest(tiny.babble(1))])[0].text


@pytest.mark.slow
def test_changed_weights_are_converted_again(source: Path, tmp_path: Path) -> None:
    before = converted(source, tmp_path)
    os.utime(source / "model.safetensors", (0, 0))
    assert converted(source, tmp_path) != before


@pytest.mark.slow
def test_failed_conversion_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "bert"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "babelfish"}))
    cache = tmp_path / "cache"
    with pytest.raises(UnsupportedModel, match="cannot be converted for CTranslate2"):
        converted(folder, cache)
    assert [path for path in cache.iterdir() if path.is_dir()] == []


@pytest.mark.slow
def test_registry_converts_named_model(source: Path, tmp_path: Path) -> None:
    program = f"""
from asr import model_registry
print(model_registry.load("ctranslate2:{source}", device="cpu").description.family)
"""
    told = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ
        | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "hub"), "ASR_MODEL_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert told.stdout.strip() == "ctranslate2", told.stderr
    assert len(list((tmp_path / "ctranslate2").glob("whisper-*/model.bin"))) == 1
