"""Memory: what a recognizer takes, as far as it can be measured, and what its files let one expect."""

import os
import sys
from pathlib import Path
from typing import Final

from asr import model_hub

_STATM: Final = Path("/proc/self/statm")


def held(device: str) -> int:
    """Bytes that this process holds on a device.

    cpu: what is resident, where the kernel tells (Linux), else 0
    cuda, cuda:1 …: what torch has reserved there; what the driver takes beside it is not in it
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


def on_disk(source: str) -> int:
    """Bytes of the weights of a folder or of a hub id in the cache; 0 where there are none yet.

    Loaded they may take more: at another precision, and with all that computes them. Blocks.
    Raises ModelUnavailable for what can be neither folder nor id.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        snapshot = model_hub.cached(source)
        if snapshot is None:
            return 0
        folder = snapshot
    weights = [*folder.glob("*.safetensors")] or [*folder.glob("*.bin")]
    return sum(file.stat().st_size for file in weights)
