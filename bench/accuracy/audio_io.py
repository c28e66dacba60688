"""Read audio files as mono samples, and find the speech in them by energy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
import numpy as np
import soxr  # type: ignore[import-untyped]
from numpy.typing import NDArray

Samples = NDArray[np.float32]

STEP_MS: Final = 10
SILENCE_DB: Final = -35.0  # relative to the loudest step; quieter steps are silence
AUDIO_SUFFIXES: Final = frozenset({".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a"})


def read_sound(path: Path, rate: int) -> Samples:
    """Return the audio of a file as float32 mono samples of shape (n,) at `rate` Hz.

    Raises av.error.FFmpegError if the file cannot be decoded, and ValueError if it contains no audio.
    """
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        mono = av.AudioResampler(format="flt", layout="mono")
        frames = [mono.resample(frame) for frame in container.decode(stream)]
        pieces = [piece.to_ndarray()[0] for frame in frames for piece in frame]
        original = stream.rate
    if not pieces:
        raise ValueError(f"{path} contains no audio")
    return np.asarray(soxr.resample(np.concatenate(pieces), original, rate), dtype=np.float32)


def speech_runs(samples: Samples, rate: int, pause_ms: int) -> list[tuple[int, int]]:
    """Return [start, end) of each run of speech, in samples.

    A pause shorter than `pause_ms` does not end a run.
    """
    step = rate * STEP_MS // 1000
    whole = len(samples) // step * step
    if whole == 0:
        return []
    loudness = np.sqrt(np.mean(np.square(samples[:whole].reshape(-1, step), dtype=np.float64), axis=1))
    loud = np.flatnonzero(loudness > max(loudness.max() * 10 ** (SILENCE_DB / 20), 1e-6))
    if len(loud) == 0:
        return []
    breaks = np.flatnonzero(np.diff(loud) * STEP_MS > pause_ms)
    firsts = [loud[0], *loud[breaks + 1]]
    lasts = [*loud[breaks], loud[-1]]
    return [(int(a) * step, (int(b) + 1) * step) for a, b in zip(firsts, lasts, strict=True)]


def split_at_pauses(samples: Samples, rate: int, pause_ms: int = 400) -> list[Samples]:
    """Return the samples of each run of speech between pauses of at least `pause_ms`."""
    return [samples[start:end] for start, end in speech_runs(samples, rate, pause_ms)]


def trim(samples: Samples, rate: int) -> Samples:
    """Return the samples from the first speech to the last, and no samples if all is silence."""
    runs = speech_runs(samples, rate, pause_ms=1 << 30)
    return samples[runs[0][0] : runs[0][1]] if runs else samples[:0]


def utterances_from(source: Path, rate: int, limit: int) -> Iterator[tuple[Path, Samples]]:
    """Yield at most `limit` trimmed files of a folder, or all sentences of one file, each with its file."""
    if source.is_file():
        yield from ((source, sentence) for sentence in split_at_pauses(read_sound(source, rate), rate))
        return
    paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    for path in paths[:: max(1, len(paths) // limit)][:limit]:
        utterance = trim(read_sound(path, rate), rate)
        if len(utterance):
            yield path, utterance
