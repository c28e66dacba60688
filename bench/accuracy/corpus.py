"""Read recordings with their transcripts, and join them into long recordings with known positions."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from audio.clip import SAMPLE_RATE
from bench.accuracy.audio_io import Samples, read_sound
from bench.load.message_tape import NOISE, Label

MANIFEST: Final = "manifest.jsonl"
STEP_SAMPLES: Final = SAMPLE_RATE // 100
SMOOTHING: Final = np.full(3, 1 / 3)  # moving average over steps, so that a click does not count as speech


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """Describe one recording of a manifest.

    text: the words spoken, "" if there are none; seconds: length of the recording
    speaker, category: "" if unknown
    """

    path: Path
    text: str
    seconds: float
    speaker: str = ""
    category: str = ""

    def read(self) -> Samples:
        """Return the whole recording as float32 samples of shape (n,) at 16 kHz."""
        return read_sound(self.path, SAMPLE_RATE)


@dataclass(frozen=True, slots=True)
class PlacedClip:
    """Give the position of a recording in a stream.

    start_ms, end_ms: the whole recording; speech: the part of it that is loud
    """

    entry: ManifestEntry
    start_ms: float
    end_ms: float
    speech: Label


@dataclass(frozen=True, slots=True)
class LongRecording:
    """Hold the audio of a stream and the positions of its recordings.

    samples: float32 of shape (n,) at 16 kHz
    """

    samples: Samples
    places: tuple[PlacedClip, ...]

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


def read_manifest(folder: Path) -> list[ManifestEntry]:
    """Return the entries of manifest.jsonl that have a text (it may be "") and a length.

    The others cannot be read or cannot be scored. Raises FileNotFoundError, KeyError and ValueError.
    """
    rows = [json.loads(line) for line in (folder / MANIFEST).read_text().splitlines()]
    return [
        ManifestEntry(
            folder / row["file"],
            row["text"],
            row["duration_s"],
            row.get("speaker", ""),
            row.get("category", ""),
        )
        for row in rows
        if row["text"] is not None and row["duration_s"] is not None
    ]


def pick(
    entries: Sequence[ManifestEntry], limit: int, rng: np.random.Generator, speakers: Sequence[str] = ()
) -> list[ManifestEntry]:
    """Pick at most `limit` entries, spread evenly over the speakers, in their original order.

    speakers: the names to pick from; empty for all
    """
    queues = [list(group) for name, group in by_speaker(entries).items() if not speakers or name in speakers]
    for queue in queues:
        rng.shuffle(queue)
    picked: set[ManifestEntry] = set()
    while len(picked) < limit and any(queues):
        for queue in queues:
            if queue and len(picked) < limit:
                picked.add(queue.pop())
    return [entry for entry in entries if entry in picked]


def by_speaker(entries: Sequence[ManifestEntry]) -> dict[str, list[ManifestEntry]]:
    """Group the entries by speaker, in order of first appearance."""
    groups: dict[str, list[ManifestEntry]] = {}
    for entry in entries:
        groups.setdefault(entry.speaker, []).append(entry)
    return groups


def distribute(entries: Sequence[ManifestEntry], count: int) -> list[list[ManifestEntry]]:
    """Distribute the entries in turn over at most `count` lists. No list is empty."""
    return [list(entries[first::count]) for first in range(min(count, len(entries)))]


def split_by_length(entries: Sequence[ManifestEntry], parts: int) -> list[list[ManifestEntry]]:
    """Split the entries, in order, into at most `parts` non-empty lists of about equal duration."""
    shares: list[list[ManifestEntry]] = [[] for _ in range(parts)]
    total, passed = sum(entry.seconds for entry in entries), 0.0
    for entry in entries:
        shares[min(int(parts * passed / total), parts - 1)].append(entry)
        passed += entry.seconds
    return [share for share in shares if share]


def join(
    entries: Sequence[ManifestEntry], rng: np.random.Generator, gap_seconds: tuple[float, float]
) -> LongRecording:
    """Join the unchanged recordings, with a gap of faint noise before, between and after them.

    gap_seconds: least and greatest length of a gap
    """
    pieces = [_gap(rng, gap_seconds)]
    places: list[PlacedClip] = []
    position = len(pieces[0])
    for entry in entries:
        samples = entry.read()
        places.append(_place(entry, samples, position))
        pieces += [samples, _gap(rng, gap_seconds)]
        position += len(samples) + len(pieces[-1])
    return LongRecording(np.concatenate(pieces), tuple(places))


def _gap(rng: np.random.Generator, seconds: tuple[float, float]) -> Samples:
    count = round(rng.uniform(*seconds) * SAMPLE_RATE)
    return rng.standard_normal(count, dtype=np.float32) * np.float32(NOISE)


def speech_span(samples: Samples) -> tuple[int, int]:
    """Return [first, last) of the loud part, in samples; the whole recording if it is very short or silent.

    Recordings differ in background noise. The threshold is therefore 12 dB above the 5 % quantile of the
    power of this recording, and always 20 to 35 dB below its maximum.
    """
    whole_steps = samples[: len(samples) // STEP_SAMPLES * STEP_SAMPLES]
    power = np.square(whole_steps, dtype=np.float64).reshape(-1, STEP_SAMPLES).mean(axis=1)
    if len(power) < len(SMOOTHING) or not power.any():
        return 0, len(samples)
    power = np.convolve(power, SMOOTHING, "same")
    threshold = np.clip(np.quantile(power, 0.05) * 10**1.2, power.max() * 10**-3.5, power.max() * 10**-2)
    loud = np.flatnonzero(power > threshold)
    return int(loud[0]) * STEP_SAMPLES, (int(loud[-1]) + 1) * STEP_SAMPLES


def _place(entry: ManifestEntry, samples: Samples, position: int) -> PlacedClip:
    first, last = speech_span(samples)

    def ms(sample: int) -> float:
        return (position + sample) * 1000 / SAMPLE_RATE

    return PlacedClip(entry, ms(0), ms(len(samples)), Label(ms(first), ms(last)))
