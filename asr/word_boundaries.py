"""Edges: word boundaries moved to where the sound says they are.

Cross-attention looks at the middle of a word, so its time warping places boundaries late, and silence between
two words belongs to one of them. Both are mended from the sound: a boundary goes back to the quietest place
just before it, and a word gives up the silence at its ends.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from asr.recognizer import Word
from audio.clip import SAMPLE_RATE, Clip, Samples

BLOCK: Final = SAMPLE_RATE // 100  # samples: the resolution
REACH: Final = 10  # blocks that a boundary may go back
SHORTEST: Final = 2  # blocks that are left of a word
STAY: Final = 0.3  # dB by which each block further back must be quieter
QUIET: Final = 0.25  # of the way from the quietest to the loudest, in dB: below it is silence
CONTRAST: Final = 10.0  # dB between the loudest and the quietest, without which there is no silence
SMOOTHING: Final = np.full(3, 1 / 3)  # over blocks

Levels = NDArray[np.float64]


def refined(words: Sequence[Word], clip: Clip) -> tuple[Word, ...]:
    """The words of the clip, in order, with better starts and ends; they still do not overlap."""
    levels = _levels(clip.samples)
    if not words or len(levels) <= REACH:
        return tuple(words)
    silence = _silence(levels)
    edges = np.array([*(word.start for word in words), words[-1].end])
    places = [_settled(levels, int(edge)) for edge in (edges - clip.start) // BLOCK]
    places = list(np.maximum.accumulate(places))
    spans = (_trimmed(levels, silence, *places[n : n + 2]) for n in range(len(words)))
    return tuple(
        replace(word, start=clip.start + start * BLOCK, end=clip.start + end * BLOCK)
        for word, (start, end) in zip(words, spans, strict=True)
    )


def _levels(samples: Samples) -> Levels:
    """dB of each block, smoothed."""
    blocks = samples[: len(samples) // BLOCK * BLOCK].reshape(-1, BLOCK)
    energy = np.einsum("ij,ij->i", blocks, blocks) / BLOCK
    energy = np.convolve(np.pad(energy, 1, mode="edge"), SMOOTHING, "valid") if len(energy) else energy
    levels: Levels = 10 * np.log10(energy + 1e-10)
    return levels


def _silence(levels: Levels) -> float:
    """The level below which a block is silent, by how quiet and how loud it gets; -inf if none is."""
    quietest, loudest = np.percentile(levels, [5, 95])
    if loudest - quietest < CONTRAST:
        return -np.inf
    return float(quietest + QUIET * (loudest - quietest))


def _settled(levels: Levels, edge: int) -> int:
    """The quietest place from the edge back; the end of the last block counts as that block."""
    edge = min(edge, len(levels))
    low = max(0, edge - REACH)
    stretch = levels[np.minimum(np.arange(low, edge + 1), len(levels) - 1)]
    return low + int(np.argmin(stretch + STAY * np.arange(len(stretch))[::-1]))


def _trimmed(levels: Levels, silence: float, start: int, end: int) -> tuple[int, int]:
    while start < end - SHORTEST and levels[start] < silence:
        start += 1
    while end > start + SHORTEST and levels[min(end, len(levels)) - 1] < silence:
        end -= 1
    return int(start), int(end)
