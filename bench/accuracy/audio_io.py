"""Sounds: audio files as mono samples, and where in them is speech, by energy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
import numpy as np
import soxr  # type: ignore[import-untyped]
from numpy.typing import NDArray

Samples = NDArray[np.float32]

STEP_MS: Final = 10
FLOOR_DB: Final = -35.0  # against the loudest step: below it is silence
SUFFIXES: Final = frozenset({".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a"})


def read_sound(path: Path, rate: int) -> Samples:
    """float32 (n,) mono at `rate` Hz. Raises av.error.FFmpegError, ValueError for a file without sound."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        mono = av.AudioResampler(format="flt", layout="mono")
        frames = [mono.resample(frame) for frame in container.decode(stream)]
        pieces = [piece.to_ndarray()[0] for frame in frames for piece in frame]
        original = stream.rate
    if not pieces:
        raise ValueError(f"{path} holds no sound")
    return np.asarray(soxr.resample(np.concatenate(pieces), original, rate), dtype=np.float32)


def speech_runs(samples: Samples, rate: int, pause_ms: int) -> list[tuple[int, int]]:
    """[start, end) of each run of speech, in samples; pauses shorter than pause_ms belong to the run."""
    step = rate * STEP_MS // 1000
    whole = len(samples) // step * step
    if whole == 0:
        return []
    loudness = np.sqrt(np.mean(np.square(samples[:whole].reshape(-1, step), dtype=np.float64), axis=1))
    loud = np.flatnonzero(loudness > max(loudness.max() * 10 ** (FLOOR_DB / 20), 1e-6))
    if len(loud) == 0:
        return []
    breaks = np.flatnonzero(np.diff(loud) * STEP_MS > pause_ms)
    firsts = [loud[0], *loud[breaks + 1]]
    lasts = [*loud[breaks], loud[-1]]
    return [(int(a) * step, (int(b) + 1) * step) for a, b in zip(firsts, lasts, strict=True)]


def split_at_pauses(samples: Samples, rate: int, pause_ms: int = 400) -> list[Samples]:
    """The runs of speech between pauses of at least that length."""
    return [samples[start:end] for start, end in speech_runs(samples, rate, pause_ms)]


def trim(samples: Samples, rate: int) -> Samples:
    """From the first speech to the last; nothing for silence."""
    runs = speech_runs(samples, rate, pause_ms=1 << 30)
    return samples[runs[0][0] : runs[0][1]] if runs else samples[:0]


def utterances_from(source: Path, rate: int, most: int) -> Iterator[Samples]:
    """Each file of a folder, trimmed, at most so many; or the sentences of one file."""
    if source.is_file():
        yield from split_at_pauses(read_sound(source, rate), rate)
        return
    paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES)
    for path in paths[:: max(1, len(paths) // most)][:most]:
        utterance = trim(read_sound(path, rate), rate)
        if len(utterance):
            yield utterance
