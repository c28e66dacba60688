"""Align decoder tokens with audio by dynamic time warping of cross-attention (openai/whisper, timing.py)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

MEDIAN_WIDTH: Final = 7  # frames


@dataclass(frozen=True, slots=True)
class AlignmentHeads:
    """Hold the heads of cross-attention that align words.

    heads: pairs of layer and head
    delay_ms: by how many ms their attention is later than the audio; 0 if it was not measured
    """

    heads: tuple[tuple[int, int], ...]
    delay_ms: int = 0


# By the heads that are published with weights, which identify them: heads that align more exactly. Some are
# early and some are late, so their mean follows the audio better than that of heads of one kind. Measured
# against forced alignment (bench/accuracy/word_timestamps.py).
_MEASURED: Final = {
    # tiny.en
    frozenset({(1, 0), (2, 0), (2, 5), (3, 0), (3, 1), (3, 2), (3, 3), (3, 4)}): AlignmentHeads(
        ((1, 5), (2, 0)), -40
    ),
    # base
    frozenset({(3, 1), (4, 2), (4, 3), (4, 7), (5, 1), (5, 2), (5, 4), (5, 6)}): AlignmentHeads(
        ((3, 1), (3, 3), (4, 1), (5, 1)), -40
    ),
}


def best_heads(published: Iterable[Sequence[int]]) -> AlignmentHeads:
    """Return the heads to align words with: measured ones for known weights, otherwise the published ones.

    published: pairs of layer and head that come with the weights
    """
    heads = tuple((int(layer), int(head)) for layer, head in published)
    return _MEASURED.get(frozenset(heads), AlignmentHeads(heads))


def token_starts(attention: Floats) -> NDArray[np.int64]:
    """Return the first frame of each row, int64 (rows,); the values never decrease.

    attention: float32 (heads, rows, frames), one row per token in order; each row sums to one.
    """
    deviation = attention.std(axis=1, keepdims=True)
    scores = (attention - attention.mean(axis=1, keepdims=True)) / np.maximum(deviation, 1e-9)
    return warp(-_median(scores).mean(axis=0))


def warp(cost: Floats) -> NDArray[np.int64]:
    """Return the first column of each row, int64 (rows,), on the cheapest monotonic path between the corners.

    cost: float32 (rows, columns). The path leads from the first cell to the last; a step goes right, down or
    both. Rows are computed one at a time: the part of the path in row i from column k to column j costs a
    difference of the row's running sums, so a running minimum gives the best k for every j.
    """
    rows, columns = cost.shape
    sums = np.cumsum(cost.astype(np.float64), axis=1)
    before = np.concatenate([np.zeros((rows, 1)), sums[:, :-1]], axis=1)
    best = sums[0]
    # The column at which the path enters the row, for each column at which it leaves the row.
    entries = np.zeros((rows, columns), dtype=np.int64)
    came_down = np.zeros((rows, columns), dtype=bool)  # The path enters from above, not diagonally.
    for row in range(1, rows):
        left = np.concatenate([[np.inf], best[:-1]])
        came_down[row] = best < left
        entering = np.minimum(best, left) - before[row]
        lowest = np.minimum.accumulate(entering)
        is_new = entering <= lowest
        entries[row] = np.maximum.accumulate(np.where(is_new, np.arange(columns), 0))
        best = lowest + sums[row]
    return _trace(entries, came_down)


def _trace(entries: NDArray[np.int64], came_down: NDArray[np.bool_]) -> NDArray[np.int64]:
    rows, columns = entries.shape
    starts = np.zeros(rows, dtype=np.int64)
    column = columns - 1
    for row in range(rows - 1, 0, -1):
        column = int(entries[row, column])
        starts[row] = column
        column -= not came_down[row, column]
    return starts


def _median(scores: Floats) -> Floats:
    """Return the median over MEDIAN_WIDTH frames, reflected at the edges.

    Scores with no more frames than half of MEDIAN_WIDTH are returned unchanged.
    """
    reach = MEDIAN_WIDTH // 2
    if scores.shape[-1] <= reach:
        return scores
    padded = np.pad(scores, [(0, 0), (0, 0), (reach, reach)], mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, MEDIAN_WIDTH, axis=-1)
    smooth: Floats = np.median(windows, axis=-1)
    return smooth
