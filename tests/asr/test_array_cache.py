"""Test arrays that are kept between loads of a model."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest

from asr.array_cache import Floats, array_file, cached_array

ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)


def refuse() -> Floats:
    raise AssertionError("the array is computed again")


def test_array_is_computed_once(tmp_path: Path) -> None:
    file = tmp_path / "new" / "array.npy"
    assert cached_array(file, lambda: ARRAY) is ARRAY
    read = cached_array(file, refuse)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, ARRAY)
    assert os.listdir(file.parent) == [file.name]


@pytest.mark.parametrize("content", [b"", b"no array", b"half"])
def test_damaged_file_is_replaced(content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "array.npy"
    np.save(file, ARRAY)
    file.write_bytes(file.read_bytes()[:-4] if content == b"half" else content)
    assert cached_array(file, lambda: ARRAY) is ARRAY
    assert "array_cache.unreadable" in caplog.text
    np.testing.assert_array_equal(cached_array(file, refuse), ARRAY)


def test_folder_that_cannot_be_written_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "file").touch()
    assert cached_array(tmp_path / "file" / "array.npy", lambda: ARRAY) is ARRAY
    assert "array_cache.not_written" in caplog.text


def test_file_changes_with_weights_and_parts(tmp_path: Path) -> None:
    weights = tmp_path / "model.bin"
    weights.write_bytes(b"weights")
    files = {array_file(tmp_path, weights, "int8"), array_file(tmp_path, weights, "float32")}
    weights.write_bytes(b"other weights")
    files.add(array_file(tmp_path, weights, "int8"))
    os.utime(weights, ns=(1, 1))
    files.add(array_file(tmp_path, weights, "int8"))
    copy = tmp_path / "copy.bin"
    copy.write_bytes(b"other weights")
    os.utime(copy, ns=(1, 1))
    files.add(array_file(tmp_path, copy, "int8"))
    assert len(files) == 5
    assert array_file(tmp_path, copy, "int8") in files
