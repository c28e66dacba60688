"""Define clips of audio, and convert between samples and time; no other module does."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

SAMPLE_RATE: Final = 16_000  # Hz, of all audio after the decoder
HOP: Final = 512  # samples of one VAD decision: 32 ms


def samples_from_ms(ms: float) -> int:
    """Return milliseconds as a whole number of samples, rounded to the nearest."""
    return round(ms * SAMPLE_RATE / 1000)


def ms_from_samples(samples: int) -> int:
    """Return samples as whole milliseconds, rounded to the nearest."""
    return round(samples * 1000 / SAMPLE_RATE)


def seconds_from_samples(samples: int) -> float:
    """Return samples as seconds."""
    return samples / SAMPLE_RATE


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Hold mono audio at 16 kHz.

    samples: float32 (n,), full scale is [-1, 1]; (n, channels) between a decoder that keeps channels apart
        and the streams of these channels
    start: position in the stream of the first sample
    is_pcm16: whether each sample is known to be a whole step of 16 bits
    """

    samples: Samples
    start: int = 0
    is_pcm16: bool = False

    @property
    def end(self) -> int:
        """Position in the stream just after the last sample."""
        return self.start + len(self.samples)

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return seconds_from_samples(len(self.samples))
