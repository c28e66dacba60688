"""Convert Whisper from transformers' format into CTranslate2's, once, into a cache."""

import glob
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from asr.artifacts import LogReporter, Reporter, default_cache, locked
from asr.errors import UnsupportedModel
from asr.memory_usage import weights_size

FOLDER: Final = "ctranslate2"  # in the cache of the models
MAX_SECONDS: Final = 1800.0  # of a conversion; Whisper large takes one or two minutes

_SOURCE: Final = "source.txt"  # in a converted model: the place of the model that it was made from
_WEIGHTS: Final = ("*.safetensors", "*.bin")
_POLL_SECONDS: Final = 1.0
PROGRAM: Final = ("-m", "asr.ctranslate2_converter")
_ROOT: Final = Path(__file__).parents[1]


def converted(
    source: Path,
    cache: Path | None = None,
    reporter: Reporter | None = None,
    program: Sequence[str] = PROGRAM,
) -> Path:
    """Return the folder of a converted model; convert it if the cache does not have it.

    source: a folder in transformers' format
    cache: folder for converted models; by default ctranslate2/ in the cache of the models
    reporter: reports the conversion; None for the log
    program: arguments of Python for the program that converts, before those for the source and the target

    The conversion runs in a process of its own, because it imports torch and transformers. Processes that
    want the same model wait for the first one. A new conversion removes those of other versions of the same
    model, and those of models that are no longer there: the cache is never larger than the models.

    Raises UnsupportedModel if the conversion fails, and OSError if the cache cannot be written.
    """
    cache = cache or default_cache() / FOLDER
    reporter = reporter or LogReporter()
    target = cache / f"{_label(source)}-{_state(source)}"
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    waiting = f"Another process is converting {source}; waiting for it."
    with locked(cache / f"{target.name}.lock", waiting, reporter):
        if not target.is_dir():
            _remove_outdated(cache, _place(source))
            for left in cache.glob(f"{glob.escape(target.name)}.*/"):
                shutil.rmtree(left)  # A conversion that was killed left it.
            with tempfile.TemporaryDirectory(prefix=f"{target.name}.", dir=cache) as folder:
                _convert(source, Path(folder), reporter, program)
                (Path(folder) / "model").rename(target)
    return target


def discard(folder: Path) -> None:
    """Remove a converted model, so that the next load converts it again. Raises OSError."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as emptied, suppress(FileNotFoundError):
        folder.rename(Path(emptied) / folder.name)  # No process sees a part of it.


def _place(source: Path) -> Path:
    """Return the folder of all versions of a model: that of the model in the hub's cache, or its own."""
    source = source.resolve()
    return source.parents[1] if source.parent.name == "snapshots" else source


def _label(source: Path) -> str:
    return _place(source).name.removeprefix("models--")


def _state(source: Path) -> str:
    """Return 16 digits that change with the content of the settings, and with the state of the weights.

    The state of the weights is their place, size and time of change.
    """
    state = hashlib.sha256(str(source.resolve()).encode())
    for file in sorted(source.glob("*.json")):
        state.update(f"\n{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}".encode())
    for file in sorted(file for pattern in _WEIGHTS for file in source.glob(pattern)):
        status = file.stat()
        state.update(f"\n{file.name} {status.st_size} {status.st_mtime_ns}".encode())
    return state.hexdigest()[:16]


def _remove_outdated(cache: Path, place: Path) -> None:
    """Remove the conversions of other versions of a model, and of models that are gone."""
    for file in list(cache.glob(f"*/{_SOURCE}")):
        made_from = Path(file.read_text(encoding="utf-8"))
        if made_from == place or not made_from.is_dir():
            discard(file.parent)


def _convert(source: Path, folder: Path, reporter: Reporter, program: Sequence[str]) -> None:
    """Convert into model/ in a folder. Raises UnsupportedModel and OSError."""
    name = _label(source)
    # The weights are kept as float16, so a model in float32 needs half of its size.
    least, free = weights_size(str(source)) // 2, shutil.disk_usage(folder).free
    if free < least:
        raise OSError(f"{folder.parent} has {free / 1e6:.0f} MB free, and {least / 1e6:.0f} MB are needed")
    reporter.note(f"Converting {name} for CTranslate2. This is done once.")
    begun = time.monotonic()
    _run(source, folder, name, reporter, program)
    (folder / "model" / _SOURCE).write_text(str(_place(source)), encoding="utf-8")
    reporter.note(f"{name} was converted in {time.monotonic() - begun:.0f} s.")


def _run(source: Path, folder: Path, name: str, reporter: Reporter, program: Sequence[str]) -> None:
    """Run the converter. Raises UnsupportedModel if it fails or takes too long."""
    begun = time.monotonic()
    errors = folder / "stderr"
    with (
        errors.open("wb") as stderr,
        subprocess.Popen(
            [sys.executable, *program, str(source.resolve()), str((folder / "model").resolve())],
            stdin=subprocess.PIPE,  # It ends with this process.
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            cwd=_ROOT,
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
        ) as process,
    ):
        try:
            while (status := _wait(process)) is None:
                seconds = time.monotonic() - begun
                reporter.conversion(name, seconds)
                if seconds > MAX_SECONDS:
                    raise UnsupportedModel(f"{source} was not converted in {MAX_SECONDS:.0f} s")
        finally:
            reporter.conversion(name, None)
            process.kill()  # Without effect if it has ended.
    if status:
        lines = errors.read_text(errors="replace").strip().splitlines() or [f"exit status {status}"]
        raise UnsupportedModel(f"{source} cannot be converted for CTranslate2: {lines[-1]}")


def _wait(process: "subprocess.Popen[bytes]") -> int | None:
    """Return the exit status, or None if the process has not ended yet."""
    try:
        return process.wait(timeout=_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return None
