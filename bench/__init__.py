"""Benchmarks: each command prints its machine, inputs and settings, and ends with one line of JSON."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]  # of the repository
