"""Make the audio of the jobs, and a recognizer that kills its process when it hears one of them."""

import io
import os
import signal
import time
import wave
from collections.abc import Sequence
from random import Random
from typing import Final

import numpy as np

from asr.recognizer import Hypothesis, RecognitionRequest
from audio.clip import SAMPLE_RATE, Samples
from tests.streaming.fakes import sound
from tests.streaming.working_models import Recognizer

POISON: Final = "poison"
LONG: Final = ("long-0", "long-1")  # of several parts
SHORT: Final = tuple(f"short-{number}" for number in range(8))
FATAL_LEVEL: Final = 0.9  # no other audio is as loud
BATCH_SECONDS: Final = 0.03  # so that a part takes long enough to be killed in


class DeadlyRecognizer(Recognizer):
    """Describe the audio, or end the process that hears the poison."""

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        if any(np.abs(request.clip.samples).max() > FATAL_LEVEL for request in requests):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(BATCH_SECONDS)
        return super().transcribe(requests)


def sounds(seed: int) -> dict[str, bytes]:
    """Return a WAV file for each name; no two have the same text."""
    chance = Random(seed)
    files = {name: _wav(_short(chance)) for name in SHORT}
    files |= {name: _wav(_long(chance)) for name in LONG}
    return files | {POISON: _wav(_short(chance) * np.float32(1.9))}


def _short(chance: Random) -> Samples:
    runs = [(False, 4_000)]
    for _ in range(chance.randint(1, 3)):
        runs += [(True, chance.randint(8_000, 30_000)), (False, chance.randint(15_000, 25_000))]
    return sound(*runs)


def _long(chance: Random) -> Samples:
    runs = [(False, 4_000)]
    while sum(length for _, length in runs) < 250 * SAMPLE_RATE:
        runs += [(True, chance.randint(8_000, 50_000)), (False, chance.randint(100_000, 250_000))]
    return sound(*runs)


def _wav(samples: Samples) -> bytes:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((samples * 32_767).astype("<i2").tobytes())
    return stream.getvalue()
