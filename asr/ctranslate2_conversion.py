"""Convert Whisper from transformers' format into CTranslate2's, once, into a cache."""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from filelock import FileLock

from asr import model_hub
from asr.errors import UnsupportedModel

_COPIED: Final = ("tokenizer.json", "preprocessor_config.json")
_PROGRAM: Final = "from ctranslate2.converters.transformers import main; main()"
_WEIGHTS: Final = ("*.safetensors", "*.bin")


def converted(source: Path, cache: Path | None = None) -> Path:
    """Return the folder of a converted model; convert it if the cache does not have it.

    source: a folder in transformers' format
    cache: folder for converted models; by default ctranslate2/ beside the cache of the hub

    The conversion runs in a process of its own, because it imports torch and transformers. Processes that
    want the same model wait for the first one. Raises UnsupportedModel if the conversion fails.
    """
    cache = cache or model_hub.cache_folder().parent / "ctranslate2"
    target = cache / _name(source)
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f"{target.name}.lock"):
        if not target.is_dir():
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                _convert(source, Path(folder) / "model")
                (Path(folder) / "model").rename(target)
    return target


def _name(source: Path) -> str:
    """Return a name that changes with the place, the sizes and the times of the weights."""
    files = sorted(file for pattern in _WEIGHTS for file in source.glob(pattern))
    state = [str(source.resolve())]
    for file in files:
        status = file.stat()
        state.append(f"{file.name} {status.st_size} {status.st_mtime_ns}")
    return f"{source.name}-{hashlib.sha256(chr(10).join(state).encode()).hexdigest()[:16]}"


def _convert(source: Path, target: Path) -> None:
    copied = [name for name in _COPIED if (source / name).is_file()]
    # float16 halves the file; the number format is chosen when the model is loaded.
    arguments = ["--model", str(source), "--output_dir", str(target), "--quantization", "float16"]
    if copied:
        arguments += ["--copy_files", *copied]
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise UnsupportedModel(f"{source} cannot be converted for CTranslate2: {lines[-1]}")
