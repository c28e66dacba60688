"""Real weights for tests, where they are in reach; otherwise the tests skip and say why."""

import runpy
import sys
from functools import cache
from pathlib import Path

import pytest

from asr.artifacts import ArtifactStore, ArtifactUnavailable

CONVERTER = Path(__file__).parents[3] / "shared" / "models" / "ct2_to_hf.py"


@cache
def _find(name: str) -> Path | str:
    """Return the folder of a model of the catalogue, or why it is not available."""
    try:
        return ArtifactStore.from_environment().fetch(name)
    except ArtifactUnavailable as error:
        return str(error)


def ctranslate2_weights(name: str) -> Path:
    """Return the folder of whisper-tiny.en or whisper-base in CTranslate2's format, downloaded if need be."""
    found = _find(name)
    if isinstance(found, str):
        pytest.skip(found)
    return found


def transformers_weights(name: str, folder: Path) -> Path:
    """Convert whisper-tiny.en or whisper-base to transformers' format into the folder and return it."""
    source = ctranslate2_weights(name)
    if not CONVERTER.is_file():
        pytest.skip(f"{CONVERTER} is absent")
    # In this process, which has imported torch and transformers; another one would take 5 s to do so.
    before = sys.argv
    sys.argv = [str(CONVERTER), str(source), str(folder), name.removeprefix("whisper-")]
    try:
        runpy.run_path(str(CONVERTER))
    finally:
        sys.argv = before
    return folder
