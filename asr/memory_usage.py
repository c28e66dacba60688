"""Measure the memory of this process, and estimate that of a model from its files."""

import os
import sys
from pathlib import Path
from typing import Final

from asr import model_hub

_STATM: Final = Path("/proc/self/statm")


def memory_in_use(device: str) -> int:
    """Return the bytes that this process uses on a device.

    device: cpu, for the resident memory (0 where the kernel does not report it, outside Linux); or cuda,
        cuda:1 …, for the memory that torch has reserved there, without that of the driver
    """
    if not device.startswith("cuda"):
        return _resident()
    if "torch" not in sys.modules:
        return 0
    import torch

    return torch.cuda.memory_reserved(device)


def _resident() -> int:
    if not _STATM.exists():
        return 0
    pages = int(_STATM.read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def weights_size(source: str) -> int:
    """Return the bytes of the weight files of a folder, or of a hub id in the cache; 0 if there are none yet.

    A loaded model may take more memory: at another precision, and with its buffers. The call blocks.
    Raises ModelUnavailable if the source can be neither a folder nor an id.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        snapshot = model_hub.cached_snapshot(source)
        if snapshot is None:
            return 0
        folder = snapshot
    weights = [*folder.glob("*.safetensors")] or [*folder.glob("*.bin")]
    return sum(file.stat().st_size for file in weights)
