"""Cut a stream of audio into overlapping chunks."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from audio.clip import SAMPLE_RATE, Clip, Samples
from diarization.chunks import CHUNK_SAMPLES

STEP_SAMPLES: Final = 5 * SAMPLE_RATE  # from the start of one chunk to that of the next


class ChunkCutter:
    """Cut chunks of CHUNK_SAMPLES every STEP_SAMPLES, and a shorter last one; each sample lies in one.

    Holds less than CHUNK_SAMPLES between two calls. The chunks do not depend on how the audio is divided.
    """

    def __init__(self) -> None:
        self._kept: Samples = np.zeros(0, np.float32)
        self._start = 0  # position of the first kept sample
        self._end = 0  # end of the last chunk

    def push(self, samples: Samples) -> Iterator[Clip]:
        """Yield the chunks that these samples complete; they follow those of the call before."""
        self._kept = np.concatenate([self._kept, samples])
        while len(self._kept) >= CHUNK_SAMPLES:
            yield Clip(self._kept[:CHUNK_SAMPLES].copy(), self._start)
            self._end = self._start + CHUNK_SAMPLES
            self._kept = self._kept[STEP_SAMPLES:]
            self._start += STEP_SAMPLES

    def finish(self) -> Iterator[Clip]:
        """Yield the last chunk, unless the one before ends with the audio."""
        if self._start + len(self._kept) > self._end:
            yield Clip(self._kept, self._start)
