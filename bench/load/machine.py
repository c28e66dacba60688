"""Describe the machine on which a benchmark runs."""

import platform
import sys
from pathlib import Path
from typing import Any, Final

import psutil  # type: ignore[import-untyped]

from asr.devices import processor_name

NVIDIA_GPUS: Final = Path("/proc/driver/nvidia/gpus")


def machine() -> dict[str, Any]:
    """Return the CPU, GPUs, cores, memory, operating system and Python version of this machine."""
    return {
        "cpu": processor_name(),
        "gpus": gpu_names(),
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(terse=True),
        "python": sys.version.split()[0],
    }


def gpu_names(folder: Path = NVIDIA_GPUS) -> list[str]:
    """Return the models of the GPUs that NVIDIA's driver lists; none where there is no such driver.

    folder: of the driver, with a folder for each GPU
    """
    lines = [line for file in sorted(folder.glob("*/information")) for line in file.read_text().splitlines()]
    return [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
