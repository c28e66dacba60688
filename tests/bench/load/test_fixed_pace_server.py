"""Test the simulated recognizer of fixed speed."""

import time

import numpy as np

from asr.recognizer import RecognitionRequest
from audio.clip import Clip
from bench.load.fixed_pace_server import FixedPaceRecognizer


def test_it_takes_as_long_as_its_pace_says() -> None:
    clips = [Clip(np.zeros(16_000, np.float32), 0)] * 2
    began = time.monotonic()
    said = FixedPaceRecognizer(0.01).transcribe([RecognitionRequest(clip) for clip in clips])
    assert time.monotonic() - began >= 0.02
    assert [hypothesis.text for hypothesis in said] == ["w1 w2 w3"] * 2
