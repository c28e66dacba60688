"""Mix two channels to one, or take one of them where the mix would cancel."""

from typing import Final

import numpy as np

from audio.clip import Samples

BLOCKS_PER_SECOND: Final = 100  # energies are compared in blocks of 10 ms
MIN_LEVEL: Final = 1e-8  # mean square of a block: -80 dB of full scale; quieter ones decide nothing
MIN_RELATIVE_LEVEL: Final = 0.01  # of the loudest recent block: -20 dB; pauses and noise decide nothing
_LOUDEST_KEPT: Final = 10 ** (-0.2 / BLOCKS_PER_SECOND)  # the loudest level falls by 2 dB per second
_ENERGY_KEPT: Final = 0.92  # of the energies per block: they are of about the last 0.1 s of sound
# Energy of the mean divided by that of the louder channel: 1 for equal channels, 1/2 for independent ones,
# 1/4 if one is silent, 0 if they are opposite.
_INVERTED: Final = 0.005  # one block below it is enough
_CANCELLED: Final = 0.05
_MIXED: Final = 0.15
_MIN_BLOCKS: Final = 10  # with sound, before _CANCELLED decides


class StereoMixer:
    """Mix the two channels of one stream, the same however its frames are cut into chunks.

    The mix is the mean of the channels. Where one is the other with inverted polarity (a microphone cable
    with two wires swapped), the mean is close to silence: then the louder channel is taken instead, until
    the channels clearly differ again. A block of 10 ms decides about the blocks after it. At the beginning,
    10 ms of inverted sound are lost, or 100 ms if it has noise; after sound that was not inverted, 0.3 s.
    """

    def __init__(self, sample_rate: int) -> None:
        """Begin with audio at `sample_rate` Hz."""
        self._block = sample_rate // BLOCKS_PER_SECOND
        self._held: Samples = np.empty((2, 0), np.float32)  # less than a block, already returned
        self._left = self._right = self._mean = 0.0  # energies
        self._loudest = 0.0
        self._blocks = 0
        self._channel: int | None = None

    def mix(self, channels: Samples, mean: Samples) -> Samples:
        """Return `mean`, or parts of one channel in its place.

        channels: float32 (2, n)
        mean: float32 (n,), the mean of the channels
        """
        held = self._held.shape[1]
        frames = np.concatenate((self._held, channels), axis=1)
        whole = frames.shape[1] - frames.shape[1] % self._block
        self._held = frames[:, whole:].copy()
        mixed, start = mean, 0
        for end, energies in zip(
            range(self._block - held, whole - held + 1, self._block),
            self._energies_of(frames[:, :whole]),
            strict=True,
        ):
            mixed = self._take(mixed, mean, channels, slice(start, end))
            self._judge(*energies)
            start = end
        return self._take(mixed, mean, channels, slice(start, None))

    def _take(self, mixed: Samples, mean: Samples, channels: Samples, part: slice) -> Samples:
        if self._channel is None:
            return mixed
        if mixed is mean:
            mixed = mean.copy()
        mixed[part] = channels[self._channel, part]
        return mixed

    def _energies_of(self, frames: Samples) -> list[list[float]]:
        """Return the energies of left, right and mean in each block. Offsets and rumble do not count."""
        blocks = frames.reshape(2, -1, self._block)
        centred = blocks - blocks.mean(axis=2, keepdims=True)
        left, right = np.square(centred).sum(axis=2)
        mean = np.square(centred[0] + centred[1]).sum(axis=1) / 4
        energies: list[list[float]] = np.stack((left, right, mean), axis=1).tolist()
        return energies

    def _judge(self, left: float, right: float, mean: float) -> None:
        level = max(left, right) / self._block
        self._loudest = max(level, self._loudest * _LOUDEST_KEPT)
        if level < max(MIN_LEVEL, self._loudest * MIN_RELATIVE_LEVEL):
            return
        self._blocks += 1
        self._left = self._left * _ENERGY_KEPT + left
        self._right = self._right * _ENERGY_KEPT + right
        self._mean = self._mean * _ENERGY_KEPT + mean
        left_over = self._mean / max(self._left, self._right)
        if self._channel is not None:
            if left_over > _MIXED:
                self._channel = None
        elif left_over < (_CANCELLED if self._blocks >= _MIN_BLOCKS else _INVERTED):
            self._channel = int(self._right > self._left)
