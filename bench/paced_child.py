"""The server with a recognizer of a known pace, for bench.overload: no measure of any recognizer."""

import os
import runpy
import time
from collections.abc import Sequence
from pathlib import Path

from asr.free import Free
from asr.hypothesis import Hypothesis, Request
from asr.models import EMBEDDED

ROOT = Path(__file__).parents[1]
NAME = "paced"
PACE = "BENCH_PACE"


class Paced(Free):
    """Takes its time, and none of the processor's. pace: seconds for each second of sound"""

    family = NAME

    def __init__(self, pace: float) -> None:
        self._pace = pace

    def transcribe(self, requests: Sequence[Request]) -> list[Hypothesis]:
        time.sleep(self._pace * sum(request.clip.seconds for request in requests))
        return super().transcribe(requests)


if __name__ == "__main__":
    EMBEDDED[NAME] = lambda: Paced(float(os.environ[PACE]))
    runpy.run_path(str(ROOT / "main.py"), run_name="__main__")
