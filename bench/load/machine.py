"""Describe the machine on which a benchmark runs."""

import platform
import sys
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]


def machine() -> dict[str, Any]:
    """Return the CPU, cores, memory, operating system and Python version of this machine."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next(
            (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model
        )
    return {
        "cpu": model,
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(terse=True),
        "python": sys.version.split()[0],
    }
