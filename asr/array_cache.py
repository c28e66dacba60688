"""Keep arrays that take long to compute in files, for the next load of the same model."""

import hashlib
import logging
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.file_writer import write_whole

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]


def array_file(cache: Path, weights: Path, *parts: object) -> Path:
    """Return the file in a cache for an array that is computed from weights.

    weights: file of the model; the result changes with its place, its size and its time of change
    parts: what else the array depends on

    Raises OSError if the weights cannot be read.
    """
    status = weights.stat()
    state = "\n".join(map(str, (weights.resolve(), status.st_size, status.st_mtime_ns, *parts)))
    return cache / f"{hashlib.sha256(state.encode()).hexdigest()[:32]}.npy"


def cached_array(file: Path | None, compute: Callable[[], Floats]) -> Floats:
    """Return the array in the file; compute it and write the file if it cannot be read.

    file: None computes the array each time

    A file that cannot be written is only logged: the next load computes the array again.
    """
    if file is None:
        return compute()
    try:
        kept: Floats = np.load(file)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, EOFError) as error:
        log.warning("array_cache.unreadable file=%s error=%s", file, error)
    else:
        return kept
    array = compute()
    data = BytesIO()
    np.save(data, array)
    try:
        write_whole(file, data.getvalue())
    except OSError as error:
        log.info("array_cache.not_written file=%s error=%s", file, error)
    return array
