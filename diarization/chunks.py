"""Define the chunks in which audio is searched for speakers, and what is known about each of them."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio.clip import SAMPLE_RATE

CHUNK_SAMPLES: Final = 10 * SAMPLE_RATE  # the length on which the segmentation was trained
FRAME_SAMPLES: Final = 270  # hop of the segmentation: 17 ms
RECEPTIVE_SAMPLES: Final = 991  # samples that one frame of the segmentation sees
EDGE_SAMPLES: Final = (RECEPTIVE_SAMPLES - FRAME_SAMPLES) // 2  # from the first of them to the frame itself
MIN_SAMPLES: Final = 2 * RECEPTIVE_SAMPLES  # shorter audio is not searched
LOCAL_SPEAKERS: Final = 3  # most speakers that a chunk can have
EMBEDDING: Final = 192

# The speakers of each class of the segmentation ("powerset"): none, one, or two at a time.
_CLASSES: Final = np.array(
    [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], dtype=np.bool_
)

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class ChunkSpeakers:
    """Hold the speakers of one chunk; their order is arbitrary and differs between chunks.

    active: bool (frames, 3), who speaks in each frame of FRAME_SAMPLES
    pieces: int32 (n, 3), stretches of a few seconds in which one speaker speaks alone: the speaker, the first
        frame, and the frame after the last
    embeddings: float32 (n, 192), of the pieces, of length 1
    """

    active: Flags
    pieces: NDArray[np.int32]
    embeddings: Floats

    @property
    def seconds(self) -> Floats:
        """Return the lengths of the pieces, float32 (n,)."""
        lengths: Floats = (self.pieces[:, 2] - self.pieces[:, 1]).astype(np.float32)
        return lengths * np.float32(FRAME_SAMPLES / SAMPLE_RATE)


NO_SPEAKERS: Final = ChunkSpeakers(
    np.zeros((0, LOCAL_SPEAKERS), np.bool_),
    np.zeros((0, 3), np.int32),
    np.zeros((0, EMBEDDING), np.float32),
)


def active_of(scores: Floats) -> Flags:
    """Return who speaks, bool (frames, 3), from the scores of the classes, float32 (frames, 7)."""
    active: Flags = _CLASSES[scores.argmax(axis=-1)]
    return active


def normalized(vectors: Floats) -> Floats:
    """Return the vectors (…, n) with a length of 1; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    result: Floats = (vectors / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)
    return result


def runs_of(flags: Flags, bridge: int = 0) -> list[tuple[int, int]]:
    """Return the intervals [first, end) of bool (n,) that are set; gaps of at most `bridge` count as set."""
    changes = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    runs: list[tuple[int, int]] = []
    for first, end in changes.tolist():
        if runs and first - runs[-1][1] <= bridge:
            runs[-1] = runs[-1][0], end
        else:
            runs.append((first, end))
    return runs
