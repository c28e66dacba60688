"""Measure how well speakers are distinguished, on joined recordings of known speakers.

    python -m bench.accuracy.diarization ../shared/audio/librispeech --joins 3

Each join is a conversation of 2, 3 or 4 speakers chosen at random; each recording is a turn, and each speaker
has at least one. Between turns is faint noise (0.2 to 1 s), or the turns overlap (by up to 1.5 s). A turn of
the reference reaches from the first to the last loud sound of its recording, pauses included.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch

from audio.clip import SAMPLE_RATE, Samples
from bench.accuracy.corpus import ManifestEntry, by_speaker, read_manifest, speech_span
from bench.accuracy.diarization_error import DiarizationError, diarization_error
from bench.load.machine import machine
from bench.load.message_tape import NOISE
from diarization.chunk_cutter import ChunkCutter
from diarization.clustering import ANY_NUMBER, SpeakerBounds
from diarization.speaker_network import SpeakerNetwork
from diarization.turns import PlacedChunk, Turn, diarize

COLLARS: Final = (0.0, 0.25)  # seconds
TURNS_PER_SPEAKER: Final = 8
APART: Final = (0.2, 1.0)  # seconds from the end of one turn to the start of the next
OVERLAPPING: Final = (-1.5, 0.5)
BATCH: Final = 8  # chunks


@dataclass(frozen=True, slots=True)
class Conversation:
    """Hold a joined recording, float32 (n,) at 16 kHz, and who speaks when in it."""

    samples: Samples
    turns: tuple[Turn, ...]


def converse(
    entries: Sequence[ManifestEntry],
    speakers: int,
    gaps: tuple[float, float],
    rng: np.random.Generator,
    turns_per_speaker: int = TURNS_PER_SPEAKER,
) -> Conversation:
    """Return a conversation of speakers chosen at random; no recording is used twice.

    gaps: least and greatest seconds between two turns; they overlap below 0
    turns_per_speaker: the mean
    """
    groups = by_speaker(entries)
    names = [str(name) for name in rng.choice(sorted(groups), speakers, replace=False)]
    order = [*range(speakers), *rng.integers(0, speakers, speakers * (turns_per_speaker - 1)).tolist()]
    queues = [[groups[name][n] for n in rng.permutation(len(groups[name]))] for name in names]
    placed: list[tuple[int, Samples]] = []
    turns: list[Turn] = []
    at = SAMPLE_RATE // 2
    for speaker in order:
        samples = queues[speaker].pop().read()
        first, end = speech_span(samples)
        placed.append((at, samples))
        turns.append(Turn(at + first, at + end, speaker))
        at = max(at + SAMPLE_RATE, at + len(samples) + round(rng.uniform(*gaps) * SAMPLE_RATE))
    length = max(start + len(samples) for start, samples in placed) + SAMPLE_RATE // 2
    mixed = rng.standard_normal(length, dtype=np.float32) * np.float32(NOISE)
    for start, samples in placed:
        mixed[start : start + len(samples)] += samples
    return Conversation(mixed, tuple(turns))


def turns_in(network: SpeakerNetwork, samples: Samples, bounds: SpeakerBounds = ANY_NUMBER) -> list[Turn]:
    """Return the turns that are found in a recording."""
    cutter = ChunkCutter()
    chunks = [*cutter.push(samples), *cutter.finish()]
    placed: list[PlacedChunk] = []
    for first in range(0, len(chunks), BATCH):
        batch = chunks[first : first + BATCH]
        found = network.analyse([chunk.samples for chunk in batch])
        placed += [PlacedChunk(chunk.start, each) for chunk, each in zip(batch, found, strict=True)]
    return list(diarize(placed, bounds).turns)


def measure(
    network: SpeakerNetwork, entries: Sequence[ManifestEntry], speakers: int, overlapping: bool, joins: int
) -> dict[str, object]:
    """Return a row of the table: the errors in several conversations, each with another seed."""
    totals = {collar: DiarizationError() for collar in COLLARS}
    counts, confusions, seconds, cpu = [], [], 0.0, 0.0
    for seed in range(joins):
        rng = np.random.default_rng([speakers, overlapping, seed])
        talk = converse(entries, speakers, OVERLAPPING if overlapping else APART, rng)
        began = time.process_time()
        found = turns_in(network, talk.samples)
        cpu += time.process_time() - began
        seconds += len(talk.samples) / SAMPLE_RATE
        counts.append(len({turn.speaker for turn in found}))
        for collar in COLLARS:
            error = diarization_error(talk.turns, found, collar)
            totals[collar] += error
            if not collar:
                confusions.append(_percent(error.confused, error))
    row: dict[str, object] = {"speakers": speakers, "overlapping": overlapping, "seconds": round(seconds)}
    for collar, error in totals.items():
        row[f"DER % (collar {collar:g})"] = round(100 * error.rate, 2)
        row[f"missed, false, confused % (collar {collar:g})"] = [
            _percent(each, error) for each in (error.missed, error.false, error.confused)
        ]
    return row | {"found": counts, "confused % by join": confusions, "CPU s per s": round(cpu / seconds, 3)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line of JSON for each row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="folder with manifest.jsonl")
    parser.add_argument("--joins", type=int, default=3, help="conversations of each kind")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    network = SpeakerNetwork.load()
    entries = read_manifest(args.folder)
    print(json.dumps({"machine": machine(), "load": os.getloadavg()[0]}), flush=True)
    for overlapping in (False, True):
        for speakers in (2, 3, 4):
            print(json.dumps(measure(network, entries, speakers, overlapping, args.joins)), flush=True)
    print(json.dumps({"load": os.getloadavg()[0]}))


def _percent(seconds: float, error: DiarizationError) -> float:
    return round(100 * seconds / error.reference, 2)


if __name__ == "__main__":
    main()
