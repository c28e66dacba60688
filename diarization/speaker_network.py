"""Find the speakers of chunks of audio, with segmentation-3.0 and CAM++.

Both are read as tensors from the files of the artefact store; nothing else in the files is run.
"""

import math
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.serialization import safe_globals
from torch.torch_version import TorchVersion

from asr.artifacts import ArtifactStore, Reporter
from asr.errors import ModelUnavailable
from audio.clip import SAMPLE_RATE, Samples
from diarization.campplus import CamPlusPlus
from diarization.chunks import (
    CHUNK_SAMPLES,
    EDGE_SAMPLES,
    EMBEDDING,
    FRAME_SAMPLES,
    LOCAL_SPEAKERS,
    MIN_SAMPLES,
    NO_SPEAKERS,
    ChunkSpeakers,
    Flags,
    Floats,
    active_of,
    normalized,
    runs_of,
)
from diarization.fbank import HOP_SAMPLES, fbank
from diarization.pyannet import PyanNet

NAME: Final = "speakers"
EMBEDDER_FILE: Final = "campplus_cn_en_common.pt"
SEGMENTATION_FILE: Final = "pytorch_model.bin"

MAX_PIECE: Final = 3.0  # seconds; a longer stretch of one speaker is cut into pieces of equal length
MIN_PIECE: Final = 0.3  # seconds; a shorter stretch is not embedded
BRIDGE: Final = 6  # frames; a shorter pause does not end a stretch
LENGTH_STEP: Final = 10  # A piece has a multiple of so many features, so that many are equally long.
MAX_ROWS: Final = 16  # most chunks or pieces of one forward pass

# The file of the segmentation describes its task with these classes, which are not needed.
_DESCRIPTIONS: Final = tuple(
    f"pyannote.audio.core.task.{name}" for name in ("Specifications", "Problem", "Resolution")
)


class SpeakerNetwork:
    """Find who speaks in chunks of audio. Not to be called from two threads at a time."""

    def __init__(self, segmentation: PyanNet, embedder: CamPlusPlus, device: torch.device) -> None:
        self.device = device
        self._segmentation = segmentation.eval().to(device)
        self._embedder = embedder.eval().to(device)

    @classmethod
    def load(
        cls,
        device: str = "cpu",
        *,
        download: bool = True,
        store: ArtifactStore | None = None,
        reporter: Reporter | None = None,
    ) -> Self:
        """Load the released weights.

        device: cpu, cuda:0 …
        download: whether to get missing files
        Raises ModelUnavailable.
        """
        store = store or ArtifactStore.from_environment()
        segmentation, embedder = PyanNet(), CamPlusPlus()
        folder = store.fetch(NAME, reporter) if download else store.find(NAME)
        if folder is None:
            raise ModelUnavailable(f"The models of speakers are not here: run ./entrypoint.sh pull {NAME}.")
        segmentation.load_state_dict(_read(folder / SEGMENTATION_FILE)["state_dict"])
        embedder.load_state_dict(_read(folder / EMBEDDER_FILE))
        return cls(segmentation, embedder, torch.device(device))

    @torch.inference_mode()
    def analyse(self, chunks: Sequence[Samples]) -> list[ChunkSpeakers]:
        """Return the speakers of each chunk, in order; a chunk does not depend on the others.

        chunks: float32 (n,) at 16 kHz, n ≤ CHUNK_SAMPLES. Below MIN_SAMPLES no speaker is found.
        Raises ValueError for a longer one.
        """
        if max(map(len, chunks), default=0) > CHUNK_SAMPLES:
            raise ValueError(f"a chunk has at most {CHUNK_SAMPLES} samples")
        actives = self._segment(chunks)
        pieces = [_pieces(active) for active in actives]
        features: list[Floats] = []
        for chunk, own in zip(chunks, pieces, strict=True):
            if len(own):
                features += _features(fbank(chunk), own)
        embeddings = self.embed(features)
        ends = np.cumsum([len(own) for own in pieces])
        return [
            ChunkSpeakers(active, own, embeddings[end - len(own) : end])
            for active, own, end in zip(actives, pieces, ends, strict=True)
        ]

    @torch.inference_mode()
    def embed(self, features: Sequence[Floats]) -> Floats:
        """Return embeddings of length 1, float32 (n, 192).

        features: of one speaker each, float32 (frames, 80). Those of equal length share a forward pass.
        """
        embeddings = np.zeros((len(features), EMBEDDING), np.float32)
        for indices in _by_length(features):
            rows = np.stack([features[index] for index in indices])
            rows -= rows.mean(axis=1, keepdims=True)
            embeddings[indices] = self._embedder(torch.from_numpy(rows).to(self.device)).float().cpu().numpy()
        return normalized(embeddings)

    def _segment(self, chunks: Sequence[Samples]) -> list[Flags]:
        """Return who speaks in each frame of each chunk. Chunks of equal length share a forward pass."""
        results = [NO_SPEAKERS.active] * len(chunks)
        for indices in _by_length(chunks):
            if len(chunks[indices[0]]) < MIN_SAMPLES:
                continue
            batch = torch.from_numpy(np.stack([chunks[index] for index in indices])).to(self.device)
            scores = self._segmentation(batch).float().cpu().numpy()
            for index, each in zip(indices, scores, strict=True):
                results[index] = active_of(each)
        return results


def _by_length(arrays: Sequence[Floats]) -> Iterator[list[int]]:
    """Yield the indices of arrays of equal length, at most MAX_ROWS at a time."""
    groups: dict[int, list[int]] = defaultdict(list)
    for index, each in enumerate(arrays):
        groups[len(each)].append(index)
    for group in groups.values():
        for first in range(0, len(group), MAX_ROWS):
            yield group[first : first + MAX_ROWS]


def _pieces(active: Flags) -> NDArray[np.int32]:
    """Return the pieces of a chunk as in ChunkSpeakers."""
    alone = active & (active.sum(axis=1, keepdims=True) == 1)
    second = SAMPLE_RATE / FRAME_SAMPLES  # in frames
    pieces: list[tuple[int, int, int]] = []
    for speaker in range(LOCAL_SPEAKERS):
        for first, end in runs_of(alone[:, speaker], BRIDGE):
            if end - first >= MIN_PIECE * second:
                count = math.ceil((end - first) / (MAX_PIECE * second))
                edges = np.linspace(first, end, count + 1).round().astype(int).tolist()
                pieces += [(speaker, start, stop) for start, stop in pairwise(edges)]
    return np.array(pieces, np.int32).reshape(-1, 3)


def _features(features: Floats, pieces: NDArray[np.int32]) -> list[Floats]:
    """Return the features (frames, 80) of each piece, of which there is at least one step of lengths."""
    found = []
    for _, first, end in pieces.tolist():
        start = (first * FRAME_SAMPLES + EDGE_SAMPLES) // HOP_SAMPLES
        length = (end - first) * FRAME_SAMPLES // HOP_SAMPLES // LENGTH_STEP * LENGTH_STEP
        start = min(start, len(features) - length)
        found.append(features[start : start + length])
    return found


class _Ignored:
    """Take the place of an object that is not needed."""

    def __init__(self, *arguments: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def _read(path: os.PathLike[str]) -> dict[str, Any]:
    """Return the tensors of a file; no class of the file but those above is built."""
    allowed: list[Any] = [TorchVersion, *((_Ignored, name) for name in _DESCRIPTIONS)]
    with safe_globals(allowed):
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content
