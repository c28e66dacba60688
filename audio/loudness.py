"""Find where audio is quietest."""

from typing import Final

import numpy as np

from audio.clip import Samples
from audio.sample_buffer import SampleBuffer

BLOCK: Final = 160  # samples, 10 ms: the resolution
SPAN: Final = 10  # blocks, 100 ms: the quiet stretch to find; a closure inside a word is shorter


def quietest(samples: Samples) -> int:
    """Return the index of the middle of the quietest 100 ms of float32 samples (n,); n // 2 if n is small."""
    blocks = len(samples) // BLOCK
    if blocks <= SPAN:
        return len(samples) // 2
    energy = np.square(samples[: blocks * BLOCK]).reshape(blocks, BLOCK).sum(axis=1, dtype=np.float64)
    total = np.concatenate(([0.0], np.cumsum(energy)))
    return (int(np.argmin(total[SPAN:] - total[:-SPAN])) + SPAN // 2) * BLOCK


def quietest_within(audio: SampleBuffer, low: int, high: int) -> int:
    """Return the position in the stream where its samples [low, high) are quietest."""
    return low + quietest(audio.read(low, high))
