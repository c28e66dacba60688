"""Cut the audio of a file into parts, each of which is transcribed by itself.

A part that is done survives a crash. Where parts are cut depends on the audio alone, so that a job that was
interrupted gives the same text as one that was not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from audio.clip import SAMPLE_RATE, Clip, Samples
from audio.loudness import quietest

MAX_PART: Final = 120 * SAMPLE_RATE  # samples; 7.7 MB
CUT_WINDOW: Final = 30 * SAMPLE_RATE  # a part ends where its last 30 s are quietest


@dataclass(frozen=True, slots=True)
class AudioPart:
    """Hold a part of a file.

    samples: float32 (n,), 16 kHz mono
    start: sample of the file at which it begins
    """

    samples: Samples
    start: int

    @property
    def end(self) -> int:
        """Return the sample of the file at which the part ends."""
        return self.start + len(self.samples)

    def clips(self) -> Iterator[Clip]:
        """Yield the part as clips of a second; their positions count from the part's beginning."""
        for start in range(0, len(self.samples), SAMPLE_RATE):
            yield Clip(self.samples[start : start + SAMPLE_RATE], start)


def split(clips: Iterator[Clip], start: int = 0) -> Iterator[AudioPart]:
    """Yield the parts of a file in order; only the last has at most MAX_PART - CUT_WINDOW samples.

    clips: without gaps; their positions count from `start`
    start: sample of the file at which the first clip begins
    """
    held: list[Samples] = []
    length = 0
    for clip in clips:
        held.append(clip.samples)
        length += len(clip.samples)
        while length >= MAX_PART:
            samples = np.concatenate(held)
            window = MAX_PART - CUT_WINDOW
            cut = window + quietest(samples[window:MAX_PART])
            yield AudioPart(samples[:cut], start)
            held, length, start = [samples[cut:]], length - cut, start + cut
    if length:
        yield AudioPart(np.concatenate(held), start)
