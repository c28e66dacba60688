"""Corpus: recorded sounds with their transcripts, and streams made of them in which every place is known."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from audio.clip import SAMPLE_RATE
from bench.accuracy.audio_io import Samples, read_sound
from bench.load.message_tape import NOISE, Label

STEP: Final = SAMPLE_RATE // 100  # samples
SMOOTHING: Final = np.full(3, 1 / 3)  # over steps: a click is no speech


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """A line of a manifest.

    text: what is said, "" for nothing; speaker, category: "" when unknown
    """

    path: Path
    text: str
    seconds: float
    speaker: str = ""
    category: str = ""

    def read(self) -> Samples:
        """float32 (n,) at 16 kHz, whole."""
        return read_sound(self.path, SAMPLE_RATE)


@dataclass(frozen=True, slots=True)
class PlacedClip:
    """Where an entry lies in a stream. start_ms, end_ms: of its sound; speech: of what is loud in it."""

    entry: ManifestEntry
    start_ms: float
    end_ms: float
    speech: Label


@dataclass(frozen=True, slots=True)
class LongRecording:
    """A stream. samples: float32 (n,) at 16 kHz."""

    samples: Samples
    places: tuple[PlacedClip, ...]

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


def read_manifest(folder: Path) -> list[ManifestEntry]:
    """The entries whose text, "" included, and length are known: others cannot be read, or not be scored.

    Raises FileNotFoundError, KeyError, ValueError.
    """
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
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
    entries: Sequence[ManifestEntry], most: int, rng: np.random.Generator, speakers: Sequence[str] = ()
) -> list[ManifestEntry]:
    """At most so many, as evenly over the speakers as can be; those picked keep their order.

    speakers: none is all of them
    """
    queues = [list(group) for name, group in by_speaker(entries).items() if not speakers or name in speakers]
    for queue in queues:
        rng.shuffle(queue)
    picked: set[ManifestEntry] = set()
    while len(picked) < most and any(queues):
        for queue in queues:
            if queue and len(picked) < most:
                picked.add(queue.pop())
    return [entry for entry in entries if entry in picked]


def by_speaker(entries: Sequence[ManifestEntry]) -> dict[str, list[ManifestEntry]]:
    groups: dict[str, list[ManifestEntry]] = {}
    for entry in entries:
        groups.setdefault(entry.speaker, []).append(entry)
    return groups


def deal(entries: Sequence[ManifestEntry], hands: int) -> list[list[ManifestEntry]]:
    """In turn to so many lists, none of them empty."""
    return [list(entries[first::hands]) for first in range(min(hands, len(entries)))]


def share_out(entries: Sequence[ManifestEntry], parts: int) -> list[list[ManifestEntry]]:
    """In their order in so many lists of about the same length in seconds, none of them empty."""
    shares: list[list[ManifestEntry]] = [[] for _ in range(parts)]
    total, passed = sum(entry.seconds for entry in entries), 0.0
    for entry in entries:
        shares[min(int(parts * passed / total), parts - 1)].append(entry)
        passed += entry.seconds
    return [share for share in shares if share]


def join(
    entries: Sequence[ManifestEntry], rng: np.random.Generator, gap_seconds: tuple[float, float]
) -> LongRecording:
    """The entries' whole sounds, unchanged, with a gap of faint noise before, between and behind them."""
    pieces = [_gap(rng, gap_seconds)]
    places: list[PlacedClip] = []
    position = len(pieces[0])
    for entry in entries:
        sound = entry.read()
        places.append(_place(entry, sound, position))
        pieces += [sound, _gap(rng, gap_seconds)]
        position += len(sound) + len(pieces[-1])
    return LongRecording(np.concatenate(pieces), tuple(places))


def _gap(rng: np.random.Generator, seconds: tuple[float, float]) -> Samples:
    count = round(rng.uniform(*seconds) * SAMPLE_RATE)
    return rng.standard_normal(count, dtype=np.float32) * np.float32(NOISE)


def speech_span(sound: Samples) -> tuple[int, int]:
    """[first, last) of what is loud, in samples; all of a sound that is too short to tell, or of silence.

    Recordings differ in their hiss, so the threshold lies 12 dB above the quietest twentieth of this one, but
    between 35 and 20 dB below the loudest place.
    """
    power = np.square(sound[: len(sound) // STEP * STEP], dtype=np.float64).reshape(-1, STEP).mean(axis=1)
    if len(power) < len(SMOOTHING) or not power.any():
        return 0, len(sound)
    power = np.convolve(power, SMOOTHING, "same")
    threshold = np.clip(np.quantile(power, 0.05) * 10**1.2, power.max() * 10**-3.5, power.max() * 10**-2)
    loud = np.flatnonzero(power > threshold)
    return int(loud[0]) * STEP, (int(loud[-1]) + 1) * STEP


def _place(entry: ManifestEntry, sound: Samples, position: int) -> PlacedClip:
    first, last = speech_span(sound)

    def ms(sample: int) -> float:
        return (position + sample) * 1000 / SAMPLE_RATE

    return PlacedClip(entry, ms(0), ms(len(sound)), Label(ms(first), ms(last)))
