"""Cut the audio of a file into parts, each of which is transcribed by itself.

A part that is done survives a crash. Where parts are cut depends on the audio alone, so that a job that was
interrupted gives the same text as one that was not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from audio.clip import SAMPLE_RATE, Clip, Samples
from audio.loudness import quietest

MAX_PART: Final = 120 * SAMPLE_RATE  # samples; 7.7 MB for each channel
CUT_WINDOW: Final = 30 * SAMPLE_RATE  # a part ends where its last 30 s are quietest


@dataclass(frozen=True, slots=True)
class AudioPart:
    """Hold a part of a file.

    channels: float32 (n,) at 16 kHz of each channel that is kept apart; one, if they are mixed
    start: sample of the file at which it begins
    """

    channels: tuple[Samples, ...]
    start: int

    def __len__(self) -> int:
        """Return the number of samples of a channel."""
        return len(self.channels[0])

    @property
    def end(self) -> int:
        """Return the sample of the file at which the part ends."""
        return self.start + len(self)

    def clips(self, channel: int = 0) -> Iterator[Clip]:
        """Yield a channel as clips of a second; their positions count from the part's beginning."""
        samples = self.channels[channel]
        for start in range(0, len(samples), SAMPLE_RATE):
            yield Clip(samples[start : start + SAMPLE_RATE], start)


def split(channels: Sequence[Iterator[Clip]], start: int = 0) -> Iterator[AudioPart]:
    """Yield the parts of a file in order; only the last has at most MAX_PART - CUT_WINDOW samples.

    All channels are cut at the same places, where they are quietest together.

    channels: clips of each channel, without gaps and cut alike; their positions count from `start`
    start: sample of the file at which the first clips begin
    """
    held: list[tuple[Samples, ...]] = []
    length = 0
    for clips in zip(*channels, strict=True):
        held.append(tuple(clip.samples for clip in clips))
        length += len(clips[0].samples)
        while length >= MAX_PART:
            samples = _joined(held)
            window = MAX_PART - CUT_WINDOW
            cut = window + quietest(_loudness([each[window:MAX_PART] for each in samples]))
            yield AudioPart(tuple(each[:cut] for each in samples), start)
            held, length, start = [tuple(each[cut:] for each in samples)], length - cut, start + cut
    if length:
        yield AudioPart(_joined(held), start)


def _joined(pieces: Sequence[tuple[Samples, ...]]) -> tuple[Samples, ...]:
    """Return the pieces of each channel as one."""
    return tuple(map(np.concatenate, zip(*pieces, strict=True)))


def _loudness(channels: Sequence[Samples]) -> Samples:
    """Return float32 (n,) whose energy is that of all channels, so that they cannot cancel each other."""
    if len(channels) == 1:
        return channels[0]
    energy: Samples = np.sqrt(np.sum([np.square(each) for each in channels], axis=0))
    return energy
