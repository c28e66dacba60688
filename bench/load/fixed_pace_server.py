"""The server with a recognizer of a known pace, for bench.overload: no measure of any recognizer."""

import os
import runpy
import time
from collections.abc import Sequence

from asr.dummy import DummyRecognizer
from asr.model_registry import EMBEDDED
from asr.recognizer import Hypothesis, RecognitionRequest
from bench import ROOT

NAME = "paced"
PACE = "BENCH_PACE"


class Paced(DummyRecognizer):
    """Takes its time, and none of the processor's. pace: seconds for each second of sound"""

    family = NAME

    def __init__(self, pace: float) -> None:
        self._pace = pace

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        time.sleep(self._pace * sum(request.clip.seconds for request in requests))
        return super().transcribe(requests)


if __name__ == "__main__":
    EMBEDDED[NAME] = lambda: Paced(float(os.environ[PACE]))
    runpy.run_path(str(ROOT / "main.py"), run_name="__main__")
