"""Correct word boundaries from cross-attention with the levels of the audio.

Cross-attention focuses on the middle of a word, so its time warping places boundaries late and assigns the
silence between two words to one of them. Here a boundary moves back to the quietest place just before it,
silence at the ends of a word is removed, and of a word with a pause inside only the longer side remains.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from asr.recognizer import Word
from audio.clip import SAMPLE_RATE, Clip, Samples

BLOCK_SAMPLES: Final = SAMPLE_RATE // 100  # The resolution.
MAX_SHIFT_BLOCKS: Final = 7  # Most blocks that a boundary moves back.
MIN_WORD_BLOCKS: Final = 2
PAUSE_BLOCKS: Final = (
    25  # No word contains so long a silence; the closures of stops take less than half of it.
)
SHIFT_PENALTY_DB: Final = 0.3  # Each block further back must be quieter by this.
SILENCE_FRACTION: Final = 0.3  # Silence is below this fraction of the range from quietest to loudest, in dB.
MIN_RANGE_DB: Final = 10.0  # A clip with a smaller range has no silence.
SMOOTHING_KERNEL: Final = np.full(3, 1 / 3)  # Over blocks.

Levels = NDArray[np.float64]


def refine_boundaries(words: Sequence[Word], clip: Clip) -> tuple[Word, ...]:
    """Return the words of the clip, in order, with corrected starts and ends; they still do not overlap."""
    levels = _levels(clip.samples)
    if not words or len(levels) <= MAX_SHIFT_BLOCKS:
        return tuple(words)
    silence = _silence(levels)
    edges = np.array([*(word.start for word in words), words[-1].end])
    places = [_quietest_block(levels, int(edge)) for edge in (edges - clip.start) // BLOCK_SAMPLES]
    places = list(np.maximum.accumulate(places))
    spans = (_trim(levels, silence, *places[n : n + 2]) for n in range(len(words)))
    return tuple(
        replace(word, start=clip.start + start * BLOCK_SAMPLES, end=clip.start + end * BLOCK_SAMPLES)
        for word, (start, end) in zip(words, spans, strict=True)
    )


def _levels(samples: Samples) -> Levels:
    """Return the smoothed level of each block in dB."""
    blocks = samples[: len(samples) // BLOCK_SAMPLES * BLOCK_SAMPLES].reshape(-1, BLOCK_SAMPLES)
    energy = np.einsum("ij,ij->i", blocks, blocks) / BLOCK_SAMPLES
    energy = np.convolve(np.pad(energy, 1, mode="edge"), SMOOTHING_KERNEL, "valid") if len(energy) else energy
    levels: Levels = 10 * np.log10(energy + 1e-10)
    return levels


def _silence(levels: Levels) -> float:
    """Return the level in dB below which a block is silent; -inf if the range of levels is too small."""
    quietest, loudest = np.percentile(levels, [5, 95])
    if loudest - quietest < MIN_RANGE_DB:
        return -np.inf
    return float(quietest + SILENCE_FRACTION * (loudest - quietest))


def _quietest_block(levels: Levels, edge: int) -> int:
    """Return the quietest block from the edge back to MAX_SHIFT_BLOCKS before it.

    An edge after the last block counts as that block.
    """
    edge = min(edge, len(levels))
    low = max(0, edge - MAX_SHIFT_BLOCKS)
    stretch = levels[np.minimum(np.arange(low, edge + 1), len(levels) - 1)]
    return low + int(np.argmin(stretch + SHIFT_PENALTY_DB * np.arange(len(stretch))[::-1]))


def _trim(levels: Levels, silence: float, start: int, end: int) -> tuple[int, int]:
    """Return a word's blocks [start, end) without pauses and without silence at its ends."""
    while (pause := _longest_pause(levels[start:end] < silence)) is not None:
        first, last = start + pause[0], start + pause[1]
        before, after = (int((levels[a:b] >= silence).sum()) for a, b in ((start, first), (last, end)))
        start, end = (start, first) if before > after else (last, end)
    while start < end - MIN_WORD_BLOCKS and levels[start] < silence:
        start += 1
    while end > start + MIN_WORD_BLOCKS and levels[min(end, len(levels)) - 1] < silence:
        end -= 1
    return int(start), int(end)


def _longest_pause(silent: NDArray[np.bool_]) -> tuple[int, int] | None:
    """Return the longest run of at least PAUSE_BLOCKS silent blocks with sound on both sides, if any."""
    edges = np.flatnonzero(np.diff(silent, prepend=True, append=True))
    runs = edges[1:-1].reshape(-1, 2)  # between the first and the last block with sound
    if not len(runs):
        return None
    first, last = runs[np.argmax(runs[:, 1] - runs[:, 0])]
    return (int(first), int(last)) if last - first >= PAUSE_BLOCKS else None
