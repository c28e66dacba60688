"""Memory of the process, and the size of model files."""

import subprocess
import sys
from pathlib import Path

import pytest

from asr.errors import ModelUnavailable
from asr.memory_usage import weights_size
from tests.asr.test_model_registry import ROOT, elsewhere


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells")
def test_what_this_process_holds_grows_with_what_it_makes() -> None:
    source = """
import numpy as np
from asr.memory_usage import memory_in_use
before = memory_in_use("cpu")
made = np.ones(100 << 20, np.uint8)
print(memory_in_use("cpu") - before, made[-1])
"""  # a process of its own: in this one it may fit into what other tests have freed
    grown, last = elsewhere(source).split()
    assert 90 << 20 < int(grown) < 200 << 20
    assert last == "1"


def test_who_has_not_imported_torch_holds_nothing_on_a_gpu_and_does_not_import_it_for_that() -> None:
    source = (
        "import sys; from asr.memory_usage import memory_in_use;"
        "print(memory_in_use('cuda:0'), 'torch' in sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert told.stdout.split() == ["0", "False"], told.stderr


def test_the_weights_of_a_folder_are_counted_once_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(bytes(100))
    assert weights_size(str(tmp_path)) == 100
    for name, size in {"model-1.safetensors": 60, "model-2.safetensors": 50, "tokenizer.json": 7}.items():
        (tmp_path / name).write_bytes(bytes(size))
    assert weights_size(str(tmp_path)) == 110


def test_a_name_is_looked_for_in_the_cache(tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "models--org--name" / "snapshots" / "abc123"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot / "model.safetensors").write_bytes(bytes(123))
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc123")
    source = (
        "from asr.memory_usage import weights_size;"
        "print(weights_size('org/name'), weights_size('org/other'), weights_size('free'))"
    )
    assert elsewhere(source, HF_HOME=str(tmp_path)) == "123 0 0"


def test_what_is_neither_a_folder_nor_a_name_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="is neither a folder"):
        weights_size(str(tmp_path / "nothing" / "there"))
