"""Choose the device of a model without importing torch where there is no GPU."""

import ctypes
import sys


def choose_device(device: str) -> str:
    """Return the device for a setting; auto selects the first CUDA device, or the CPU.

    torch is imported only if there is a CUDA driver.
    """
    if device != "auto":
        return device
    if not _has_cuda_driver():
        return "cpu"
    import torch

    return "cuda:0" if torch.cuda.is_available() else "cpu"


def _has_cuda_driver() -> bool:
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True
