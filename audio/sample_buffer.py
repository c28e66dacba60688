"""Hold recent audio of a stream, addressed by sample position, up to a bound."""

from bisect import bisect_left, bisect_right
from typing import Final

import numpy as np

from audio.clip import Samples
from audio.errors import SampleBufferFull

MIN_CHUNK: Final = 512  # samples; smaller neighbours are joined up to this size


class SampleBuffer:
    """Hold the samples of a stream from `start` to `end`, at most `capacity` of them.

    When the buffer is full, `append` raises SampleBufferFull and accepts nothing: the caller must hold audio
    back until `forget` has freed space. Nothing is overwritten. Memory follows what is held: an idle stream
    costs next to nothing, and chunks of one sample each cost no more than large ones.

    start: position in the stream of the oldest sample
    end: position in the stream just after the newest sample
    """

    def __init__(self, capacity: int) -> None:
        """Begin empty, at the start of a stream."""
        self.capacity = capacity
        self.start = 0
        self.end = 0
        self._chunks: list[Samples] = []  # contiguous, none empty
        self._starts: list[int] = []  # of the chunks, in the stream

    def __len__(self) -> int:
        return self.end - self.start

    def __repr__(self) -> str:
        return f"<SampleBuffer [{self.start}, {self.end}) of {self.capacity} in {len(self._chunks)} chunks>"

    def append(self, samples: Samples) -> None:
        """Add the next samples, float32 (n,), which must not be changed afterwards.

        Raises SampleBufferFull.
        """
        count = len(samples)
        if self.end + count - self.start > self.capacity:
            raise SampleBufferFull(
                f"the audio buffer is full: {count} samples came, {len(self)} of {self.capacity} are held"
            )
        if not count:
            return
        if self._chunks and count + self.end - self._starts[-1] <= MIN_CHUNK:
            self._chunks[-1] = np.concatenate((self._chunks[-1], samples))
        else:
            # A view would keep its whole base array alive.
            self._chunks.append(samples if samples.base is None else samples.copy())
            self._starts.append(self.end)
        self.end += count

    def skip_to(self, start: int) -> None:
        """Let an empty buffer begin at this position of the stream."""
        assert not len(self)
        self.start = self.end = start

    def read(self, start: int, end: int) -> Samples:
        """Return a copy of the samples [start, end), float32 (end - start,).

        Raises IndexError if some of them were dropped or have not come yet.
        """
        if not self.start <= start <= end <= self.end:
            raise IndexError(f"samples [{start}, {end}) are not in {self!r}")
        if start == end:
            return np.empty(0, np.float32)
        first, after = bisect_right(self._starts, start) - 1, bisect_left(self._starts, end)
        pieces = self._chunks[first:after]
        pieces[-1] = pieces[-1][: end - self._starts[after - 1]]
        pieces[0] = pieces[0][start - self._starts[first] :]
        return np.concatenate(pieces)

    def whole_chunks(self, start: int, size: int) -> tuple[int, Samples] | None:
        """Return the first chunks from `start` on that have at least `size` samples, with their position.

        None if there are too few. The newest chunk is left out, because it may still grow.
        """
        first = bisect_left(self._starts, start)
        if first == len(self._starts):
            return None
        after = bisect_left(self._starts, self._starts[first] + size)
        if after == len(self._starts):
            return None
        return self._starts[first], np.concatenate(self._chunks[first:after])

    def replace_chunks(self, start: int, samples: Samples) -> None:
        """Hold samples in place of equal ones from `whole_chunks`, unless some of those were dropped."""
        first = bisect_left(self._starts, start)
        if first < len(self._starts) and self._starts[first] == start:
            after = bisect_left(self._starts, start + len(samples))
            self._chunks[first:after], self._starts[first:after] = [samples], [start]

    def forget(self, before: int) -> None:
        """Drop the chunks that lie wholly before the sample `before`; `start` may stay below it."""
        dropped = len(self._chunks) if before >= self.end else bisect_right(self._starts, before) - 1
        if dropped > 0:
            del self._chunks[:dropped], self._starts[:dropped]
            self.start = self._starts[0] if self._starts else self.end
