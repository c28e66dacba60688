"""Loading recognizers by name from folders and caches with tiny models."""

import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from asr import model_registry
from asr.devices import choose_device
from asr.errors import ModelUnavailable, UnsupportedModel
from asr.recognizer import ModelInfo, RecognitionRequest, TranscriptionOptions, warm_up
from asr.seq2seq import Seq2Seq
from asr.windows import WINDOW, AudioContext
from tests.asr import tiny

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "models.md"

FAMILIES: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "wav2vec2": ("ctc", lambda folder: tiny.waveform_ctc(folder, "Wav2Vec2", "group")),
    "hubert": ("ctc", lambda folder: tiny.waveform_ctc(folder, "Hubert", "layer")),
    "parakeet-ctc": ("ctc", tiny.parakeet_ctc),
    "parakeet-tdt": ("transducer", lambda folder: tiny.transducer(folder, "TDT")),
    "parakeet-rnnt": ("transducer", lambda folder: tiny.transducer(folder, "RNNT")),
    "whisper": ("ctranslate2", tiny.whisper),
    "moonshine": ("seq2seq", tiny.moonshine),
    "moonshine-streaming": ("seq2seq", tiny.moonshine_streaming),
}


def elsewhere(source: str, **environment: str) -> str:
    """Return what a new interpreter prints with some settings of the hub; no test uses a real hub."""
    told = subprocess.run(
        [sys.executable, "-c", source],
        cwd=ROOT,
        env=os.environ | {"HF_HUB_OFFLINE": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert told.returncode == 0, told.stderr
    return told.stdout.strip()


def in_cache(home: Path, model_id: str, build: Callable[[Path], Path]) -> Path:
    """Builds a model into a cache laid out as the hub's own client does it; its snapshot's folder."""
    repository = home / "hub" / f"models--{model_id.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc123")
    return build(repository / "snapshots" / "abc123")


@pytest.mark.parametrize(
    "name",
    [
        *("wav2vec2", "parakeet-tdt", "moonshine"),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("hubert", "parakeet-ctc", "parakeet-rnnt", "whisper", "moonshine-streaming")
        ),
    ],
)
def test_a_folder_is_loaded_by_what_its_config_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASR_MODEL_CACHE", str(tmp_path / "cache"))
    family, build = FAMILIES[name]
    folder = build(tmp_path / name)
    if family == "ctranslate2":
        tiny.convert_here(folder, tmp_path / "made")
    loaded = model_registry.load(str(folder), device="cpu", dtype="float32")
    assert loaded.description == ModelInfo(
        model=name,
        requested=str(folder),
        family=family,
        device="cpu",
        dtype="float32",
        languages=loaded.recognizer.languages,
        continues=name == "whisper",
        translates=name == "whisper" and len(loaded.recognizer.languages) > 1,
        punctuates=name not in ("wav2vec2", "hubert"),  # whose vocabularies are letters
    )
    warm_up(loaded)
    (heard,) = loaded.transcribe([RecognitionRequest(tiny.babble(1), TranscriptionOptions(words=True))])
    assert heard.confidence is None or 0 <= heard.confidence <= 1


@pytest.mark.slow
def test_whispers_encoder_hears_as_long_as_it_is_told(tmp_path: Path) -> None:
    folder = f"torch:{tiny.whisper(tmp_path / 'whisper')}"

    def samples(audio_context: AudioContext) -> int:
        """Return the samples that the encoder takes."""
        loaded = model_registry.load(folder, device="cpu", dtype="float32", audio_context=audio_context)
        assert isinstance(loaded.recognizer, Seq2Seq)
        return loaded.recognizer._adapter.row_samples(tiny.babble(1))

    assert samples("short") < samples("full") == WINDOW


def test_a_model_with_no_such_choice_ignores_it(tmp_path: Path) -> None:
    folder = tiny.waveform_ctc(tmp_path / "wav2vec2", "Wav2Vec2", "group")
    assert model_registry.load(str(folder), device="cpu", audio_context="short").description.family == "ctc"


@pytest.mark.slow
def test_pocketsphinx_is_loaded_by_its_name() -> None:
    loaded = model_registry.load("pocketsphinx")
    assert loaded.description == ModelInfo(
        model="pocketsphinx",
        requested="pocketsphinx",
        family="pocketsphinx",
        device="cpu",
        dtype="float32",
        languages=("en",),
        incremental=True,
        punctuates=False,
    )
    assert loaded.languages == ("en",)
    warm_up(loaded)


def test_the_free_recognizer_is_loaded_by_its_name() -> None:
    assert model_registry.load("free").description.family == "free"


@pytest.mark.slow
def test_a_description_travels_between_processes() -> None:
    description = model_registry.load("pocketsphinx").description
    assert pickle.loads(pickle.dumps(description)) == description


def test_a_folder_with_another_kind_of_model_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(UnsupportedModel, match=r"unsupported type bert; supported: .*moonshine.*whisper"):
        model_registry.load(str(tmp_path), device="cpu")


def test_a_folder_with_an_unheard_of_kind_of_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "babelfish"}))
    with pytest.raises(UnsupportedModel, match="babelfish"):
        model_registry.load(str(tmp_path), device="cpu")


def test_a_folder_without_a_config_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=re.escape(f"{tmp_path} has no config.json")):
        model_registry.load(str(tmp_path), device="cpu")


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="there is no folder"):
        model_registry.load(str(tmp_path / "nothing"), device="cpu")


LOAD = """
import sys
from asr.model_registry import load
d = load({name!r}, device='cpu', dtype='float32').description
print({shown})
"""
REFUSED = """
import sys
from asr.errors import ModelUnavailable
from asr.model_registry import load
try:
    load({name!r}, device='cpu', hub_timeout=1)
except ModelUnavailable as error:
    print(error, 'torch' in sys.modules)
"""


def test_an_id_that_cannot_be_had_is_told_with_what_to_do(tmp_path: Path) -> None:
    told = elsewhere(REFUSED.format(name="org/name"), HF_HOME=str(tmp_path))
    assert (
        f"org/name is neither a folder nor in the cache {tmp_path / 'hub'}, and HF_HUB_OFFLINE is set" in told
    )
    assert "HF_HOME" in told
    assert "ASR_MODEL" in told
    assert told.endswith("False"), "torch was imported for nothing"


def test_an_unreachable_hub_is_named(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"  # discard: nothing listens there
    told = elsewhere(
        REFUSED.format(name="org/name"), HF_HOME=str(tmp_path), HF_HUB_OFFLINE="", HF_ENDPOINT=nowhere
    )
    assert f"{nowhere} cannot be reached" in told


NO_INDEX = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}


@pytest.mark.slow
def test_auto_falls_back_to_pocketsphinx_and_says_what_to_do(tmp_path: Path) -> None:
    """It does not import torch, which takes a second and a quarter of a gigabyte."""
    source = LOAD.format(name="auto", shown="d.model, d.requested, d.fallback, 'torch' in sys.modules")
    told = elsewhere(source, HF_HOME=str(tmp_path), ASR_MODEL_CACHE=str(tmp_path / "models"), **NO_INDEX)
    poor_words = model_registry.POOR_WORDS.format(cause=model_registry.NOT_IN_REACH)
    assert told == f"pocketsphinx auto {poor_words} False"


@pytest.mark.slow
def test_a_model_of_the_catalogue_that_is_not_in_reach_is_an_error(tmp_path: Path) -> None:
    told = elsewhere(
        REFUSED.format(name="whisper-base"),
        HF_HOME=str(tmp_path),
        ASR_MODEL_CACHE=str(tmp_path / "models"),
        **NO_INDEX,
    )
    assert "whisper-base is not available" in told
    assert "HF_HUB_OFFLINE is set" in told


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("whisper-bse", "Did you mean whisper-base?"),
        ("abacus", "`./entrypoint.sh models` lists"),
        ("/no/such/folder", "there is no folder /no/such/folder"),
        ("./here", "there is no folder here"),
    ],
)
def test_a_mistyped_name_is_told_what_there_is(name: str, said: str) -> None:
    with pytest.raises(ModelUnavailable, match=re.escape(said)):
        model_registry.load(name, device="cpu")


@pytest.mark.slow
def test_an_id_is_loaded_from_the_cache_and_a_broken_download_is_told(tmp_path: Path) -> None:
    """Both are loaded offline, in one process, which imports torch and transformers once."""
    for name in ("org/name", "org/broken"):
        snapshot = in_cache(tmp_path, name, lambda folder: tiny.waveform_ctc(folder, "Wav2Vec2", "group"))
    (snapshot / "model.safetensors").unlink()
    source = LOAD.format(name="org/name", shown="d.model, d.family") + REFUSED.format(name="org/broken")
    loaded, refused = elsewhere(source, HF_HOME=str(tmp_path)).splitlines()
    assert loaded == "org/name ctc"
    assert "org/broken is incomplete in the cache" in refused


def test_a_device_that_is_named_is_not_looked_for() -> None:
    assert choose_device("cuda:7") == "cuda:7"
    assert choose_device("auto") in ("cpu", "cuda:0")


def test_the_table_names_each_model_once() -> None:
    ids = [model.id for model in model_registry.KNOWN_MODELS]
    assert len(set(ids)) == len(ids)
    assert {model_registry.AUTO_ON_CUDA, "pocketsphinx"} <= set(ids)
    assert all(
        model.family in ("ctc", "transducer", "seq2seq", "pocketsphinx", "ctranslate2")
        for model in model_registry.KNOWN_MODELS
    )
    assert model_registry.known_model("org/name") is None


def test_the_documents_table_is_the_programs() -> None:
    section = TABLE.read_text().split("\n## Known models\n")[1]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == [row(model) for model in model_registry.KNOWN_MODELS]


def row(model: model_registry.KnownModel) -> str:
    """Return the row of a model in docs/models.md."""
    languages = f"{len(model.languages)} European" if len(model.languages) > 3 else ", ".join(model.languages)
    cells = (
        f"`{model.id}`",
        model.family,
        languages or "about 100",
        str(model.parameters_m or "-"),
        model.licence,
        str(model.wer or "-"),
        model.note,
    )
    return " | ".join(("", *cells, "")).strip()
