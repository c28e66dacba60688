"""Work: what a stream asks of the detector."""

from typing import NamedTuple

from audio.clip import Samples


class Work(NamedTuple):
    """The next hops of the stream that holds a slot: float32 (n, 512), n >= 1."""

    slot: int
    hops: Samples
