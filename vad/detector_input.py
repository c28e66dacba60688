"""Work: what a stream asks of the detector."""

from typing import Final, NamedTuple

import numpy as np

from audio.clip import HOP, Samples

DetectorState = Samples  # what the detector remembers of a stream
NO_HOPS: Final[Samples] = np.zeros((0, HOP), np.float32)


class DetectorInput(NamedTuple):
    """The next hops of the stream that holds a slot: float32 (n, 512).

    No hops (n == 0) ask for what the detector remembers of the stream: the answer is its memory, float32
    (m,), in the place of probabilities. memory: what it is to remember from here on.
    """

    slot: int
    hops: Samples
    memory: DetectorState | None = None
