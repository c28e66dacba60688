"""Clip: a stretch of sound, and the only place that turns samples into seconds."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

SAMPLE_RATE: Final = 16_000  # Hz, of everything behind the decoder
HOP: Final = 512  # samples of one VAD decision: 32 ms


def samples_from_ms(ms: float) -> int:
    """Milliseconds as a whole number of samples, rounded to the nearest."""
    return round(ms * SAMPLE_RATE / 1000)


def ms_from_samples(samples: int) -> int:
    """Samples as whole milliseconds, rounded to the nearest."""
    return round(samples * 1000 / SAMPLE_RATE)


def seconds_from_samples(samples: int) -> float:
    return samples / SAMPLE_RATE


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Mono sound at 16 kHz.

    samples: float32 (n,), full scale is [-1, 1]
    start: index in the stream of the first sample
    is_pcm16: each sample is a whole step of 16 bits, as far as that is known
    """

    samples: Samples
    start: int = 0
    is_pcm16: bool = False

    @property
    def end(self) -> int:
        """Index in the stream just behind the last sample."""
        return self.start + len(self.samples)

    @property
    def seconds(self) -> float:
        return seconds_from_samples(len(self.samples))
