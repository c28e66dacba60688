"""Describe the processor, and choose the device of a model without importing torch where there is no GPU."""

import ctypes
import math
import os
import platform
import sys
from pathlib import Path
from typing import Final

CPU_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")


def available_cores(quota_file: Path = CPU_QUOTA) -> int:
    """Return the number of cores that this process may use: its affinity, or the quota of its container.

    quota_file: of cgroup v2, "QUOTA PERIOD" in µs or "max PERIOD"; it is absent elsewhere
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = map(int, quota_file.read_text().split())
        return min(cores, max(1, math.ceil(quota / period)))
    except (OSError, ValueError, ZeroDivisionError):
        return cores


def processor_name() -> str:
    """Return the model of the processor, or what the platform says of it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


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
