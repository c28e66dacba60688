"""Describe the machine on which a benchmark runs."""

import platform
import sys
from typing import Any

import psutil  # type: ignore[import-untyped]

from asr.devices import processor_name


def machine() -> dict[str, Any]:
    """Return the CPU, cores, memory, operating system and Python version of this machine."""
    return {
        "cpu": processor_name(),
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(terse=True),
        "python": sys.version.split()[0],
    }
