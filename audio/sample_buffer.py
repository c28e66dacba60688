"""Ring: recent sound by its place in the stream, bounded."""

from bisect import bisect_left, bisect_right
from typing import Final

import numpy as np

from audio.clip import Samples
from audio.errors import SampleBufferFull

GRAIN: Final = 512  # samples: neighbours that fit into this together are joined


class SampleBuffer:
    """The samples of a stream from `start` to `end`, at most `capacity` of them.

    When it is full, `append` raises RingFull and takes in nothing: the caller must hold audio back until
    `forget` has made room. Nothing is overwritten. Memory follows what is held: an idle stream costs next to
    nothing, and chunks of a sample each cost no more than large ones.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.start = 0  # index in the stream of the oldest sample
        self.end = 0  # just behind the newest
        self._chunks: list[Samples] = []  # contiguous, none empty
        self._starts: list[int] = []  # of the chunks, in the stream

    def __len__(self) -> int:
        return self.end - self.start

    def __repr__(self) -> str:
        return f"<Ring [{self.start}, {self.end}) of {self.capacity} in {len(self._chunks)} chunks>"

    def append(self, samples: Samples) -> None:
        """Takes in the next samples, float32 (n,), which nobody may change afterwards. Raises RingFull."""
        count = len(samples)
        if self.end + count - self.start > self.capacity:
            raise SampleBufferFull(f"no room for {count} samples: {len(self)} of {self.capacity} are held")
        if not count:
            return
        if self._chunks and count + self.end - self._starts[-1] <= GRAIN:
            self._chunks[-1] = np.concatenate((self._chunks[-1], samples))
        else:
            # A view would keep all of its base alive.
            self._chunks.append(samples if samples.base is None else samples.copy())
            self._starts.append(self.end)
        self.end += count

    def skip_to(self, start: int) -> None:
        """The first sample to come has this index; for an empty one."""
        assert not len(self)
        self.start = self.end = start

    def read(self, start: int, end: int) -> Samples:
        """A copy of the samples [start, end), float32 (end - start,).

        Raises IndexError if some are forgotten or have not come yet.
        """
        if not self.start <= start <= end <= self.end:
            raise IndexError(f"samples [{start}, {end}) are not in {self!r}")
        if start == end:
            return np.empty(0, np.float32)
        first, behind = bisect_right(self._starts, start) - 1, bisect_left(self._starts, end)
        pieces = self._chunks[first:behind]
        pieces[-1] = pieces[-1][: end - self._starts[behind - 1]]
        pieces[0] = pieces[0][start - self._starts[first] :]
        return np.concatenate(pieces)

    def forget(self, before: int) -> None:
        """Lets go of the chunks that lie wholly before the sample `before`; `start` may stay below it."""
        gone = len(self._chunks) if before >= self.end else bisect_right(self._starts, before) - 1
        if gone > 0:
            del self._chunks[:gone], self._starts[:gone]
            self.start = self._starts[0] if self._starts else self.end
