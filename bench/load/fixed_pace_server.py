"""Run the server with a simulated recognizer of fixed speed, for bench.load.overload.

The environment variable BENCH_PACE has the seconds of recognition per second of audio.
"""

import os
import runpy
import time
from collections.abc import Sequence

from asr.dummy import DummyRecognizer
from asr.model_registry import EMBEDDED
from asr.recognizer import Hypothesis, RecognitionRequest
from bench import ROOT

NAME = "paced"
PACE_VARIABLE = "BENCH_PACE"


class FixedPaceRecognizer(DummyRecognizer):
    """Sleep for a time proportional to the audio, and use no CPU.

    pace: seconds of sleep per second of audio
    """

    family = NAME

    def __init__(self, pace: float) -> None:
        self._pace = pace

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        """Sleep, then return the texts of the dummy recognizer."""
        time.sleep(self._pace * sum(request.clip.seconds for request in requests))
        return super().transcribe(requests)


if __name__ == "__main__":
    EMBEDDED[NAME] = lambda: FixedPaceRecognizer(float(os.environ[PACE_VARIABLE]))
    runpy.run_path(str(ROOT / "main.py"), run_name="__main__")
