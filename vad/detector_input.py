"""Define the input of the voice detector."""

from typing import Final, NamedTuple

import numpy as np

from audio.clip import HOP, Samples

DetectorState = Samples  # the detector's state of a stream
NO_HOPS: Final[Samples] = np.zeros((0, HOP), np.float32)


class DetectorInput(NamedTuple):
    """Hold the next hops, float32 (n, 512), of the stream that has a slot.

    Without hops (n == 0) the result is the detector's state of the stream, float32 (m,), in place of
    probabilities.

    state: a state with which the detector is to continue from here
    """

    slot: int
    hops: Samples
    state: DetectorState | None = None
