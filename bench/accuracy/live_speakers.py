"""Measure how well speakers of a live stream are distinguished, with and without corrections.

    python -m bench.accuracy.live_speakers ../shared/audio/librispeech --joins 3

Each join is a conversation as in bench.accuracy.diarization, of turns apart. Each turn is cut into utterances
of 1 to 5 s, which are shorter than most live ones and so harder. White noise 10 dB below the speech is added
to each conversation once more. A word of every 100 ms of speech gets the speaker that a client receives.
The last partial of an utterance, half a second after its beginning was searched, is compared with its final.
"""

import argparse
import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch

from asr.recognizer import Hypothesis, Word
from audio.clip import SAMPLE_RATE, Clip, Samples
from batching.batcher import BULK
from bench.accuracy.corpus import read_manifest
from bench.accuracy.diarization import APART, Conversation, converse
from bench.accuracy.diarization_error import DiarizationError, diarization_error
from bench.load.machine import machine
from diarization.chunks import ChunkSpeakers
from diarization.speaker_network import SpeakerNetwork
from diarization.turns import Turn
from server.connection.partial_speakers import HEARD
from streaming.events import FinalTranscript
from streaming.stream_speakers import StreamSpeakers
from vad.segmenter import Reason

TURNS_PER_SPEAKER: Final = 5
SECONDS: Final = (1.0, 5.0)  # of an utterance
LEAST: Final = SAMPLE_RATE // 2  # samples; a shorter rest of a turn belongs to the utterance before
AROUND: Final = SAMPLE_RATE // 10  # samples before and after the speech that an utterance has, too
WORD: Final = SAMPLE_RATE // 10  # samples
SNR_DB: Final = 10.0


class NetworkClient:
    """Give a stream the networks in this process."""

    def __init__(self, network: SpeakerNetwork) -> None:
        self._network = network

    async def start(self) -> None:
        """Do nothing: the networks are loaded."""

    async def analyse(self, chunk: Samples, /, priority: int = BULK) -> ChunkSpeakers:
        """Return the speakers of a chunk."""
        return self._network.analyse([chunk])[0]


class Heard(NamedTuple):
    """Hold what a client received: the speaker of each word, as turns; before and after all corrections."""

    at_first: list[Turn]
    at_last: list[Turn]
    revised: int  # finals that were corrected
    events: int
    seconds: float
    partials: list[
        tuple[str | None, str | None, str | None]
    ]  # speaker of a partial, its final, the one before
    searched: int  # utterances


def with_noise(talk: Conversation, rng: np.random.Generator) -> Conversation:
    """Return the conversation with white noise SNR_DB below the speech."""
    is_speech = np.zeros(len(talk.samples), np.bool_)
    for turn in talk.turns:
        is_speech[turn.start : turn.end] = True
    power = np.mean(np.square(talk.samples[is_speech], dtype=np.float64))
    noise = rng.standard_normal(len(talk.samples)).astype(np.float32)
    return Conversation(talk.samples + noise * np.float32(np.sqrt(power / 10 ** (SNR_DB / 10))), talk.turns)


def utterances_of(talk: Conversation, rng: np.random.Generator) -> Iterator[FinalTranscript]:
    """Yield the utterances of the turns, in order, with their words."""
    number = 0
    for turn in talk.turns:
        start = turn.start
        while start < turn.end:
            end = min(turn.end, start + round(rng.uniform(*SECONDS) * SAMPLE_RATE))
            if turn.end - end < LEAST:
                end = turn.end
            number += 1
            first = max(0, start - AROUND)
            words = tuple(Word("x", at, min(at + WORD, end)) for at in range(start, end, WORD))
            clip = Clip(talk.samples[first : end + AROUND], first)
            yield FinalTranscript(number, clip, Reason.SILENCE, Hypothesis("x", words))
            start = end


async def hear(speakers: StreamSpeakers, utterances: Iterator[FinalTranscript]) -> Heard:
    """Return what a client receives about the speakers of utterances."""
    speakers.keep_history(True)
    told: dict[int, list[tuple[int, int, str | None]]] = {}
    first: dict[int, list[tuple[int, int, str | None]]] = {}
    corrected: Counter[int] = Counter()
    partials: list[tuple[str | None, str | None, str | None]] = []
    events, samples, searched, before = 0, 0, 0, None
    for final in utterances:
        likely = None
        if speakers.knows_voices and len(final.clip.samples) >= HEARD:
            likely, searched = await speakers.likely(final.clip.samples[:HEARD]), searched + 1
        labelled = await speakers.label(final)
        if len(final.clip.samples) >= HEARD + SAMPLE_RATE // 2:
            partials.append((likely, labelled.speaker, before))
        before = labelled.speaker
        words = [(word.start, word.end, word.speaker) for word in labelled.hypothesis.words]
        told[final.utterance] = first[final.utterance] = words
        samples += len(final.clip.samples)
        changes = await speakers.revise()
        events += bool(changes)
        for change in changes:
            told[change.utterance] = list(change.words)
            corrected[change.utterance] += 1
    return Heard(
        _turns(first), _turns(told), len(corrected), events, samples / SAMPLE_RATE, partials, searched
    )


def _turns(told: dict[int, list[tuple[int, int, str | None]]]) -> list[Turn]:
    words = [word for each in told.values() for word in each if word[2] is not None]
    numbers = {label: number for number, label in enumerate(dict.fromkeys(label for _, _, label in words))}
    return [Turn(start, end, numbers[label]) for start, end, label in words]


def row_of(speakers: int, noisy: bool, found: Sequence[tuple[Conversation, Heard]]) -> dict[str, object]:
    """Return a row of the table."""
    row: dict[str, object] = {"speakers": speakers, "noise": f"{SNR_DB:g} dB" if noisy else "none"}
    for name in ("at_first", "at_last"):
        total, counts = DiarizationError(), []
        for talk, heard in found:
            turns: list[Turn] = getattr(heard, name)
            total += diarization_error(talk.turns, turns)
            counts.append(len({turn.speaker for turn in turns}))
        row[f"confused % {name}"] = round(100 * total.confused / total.reference, 2)
        row[f"found {name}"] = counts
    row["finals corrected"] = sum(heard.revised for _, heard in found)
    row["events"] = sum(heard.events for _, heard in found)
    partials = [each for _, heard in found for each in heard.partials]
    row["partials"] = len(partials)
    row["partials right %"] = _percent(partial == final for partial, final, _ in partials)
    row["partials unknown %"] = _percent(partial is None for partial, _, _ in partials)
    row["final before right %"] = _percent(before == final for _, final, before in partials)
    row["searched"] = sum(heard.searched for _, heard in found)
    row["seconds"] = round(sum(heard.seconds for _, heard in found))
    return row


def _percent(flags: Iterable[bool]) -> float:
    found = list(flags)
    return round(100 * sum(found) / max(1, len(found)), 1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line of JSON for each row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="folder with manifest.jsonl")
    parser.add_argument("--joins", type=int, default=3, help="conversations of each kind")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    client, entries = NetworkClient(SpeakerNetwork.load()), read_manifest(args.folder)
    print(json.dumps({"machine": machine(), "load": os.getloadavg()[0]}), flush=True)
    for noisy in (False, True):
        for count in (2, 3, 4):
            found, began = [], time.process_time()
            for seed in range(args.joins):
                rng = np.random.default_rng([count, 77, seed])
                talk = converse(entries, count, APART, rng, TURNS_PER_SPEAKER)
                talk = with_noise(talk, rng) if noisy else talk
                found.append((talk, asyncio.run(hear(StreamSpeakers(client), utterances_of(talk, rng)))))
            row = row_of(count, noisy, found)
            cpu = time.process_time() - began
            row["CPU s per s"] = round(cpu / sum(heard.seconds for _, heard in found), 3)
            print(json.dumps(row), flush=True)
    print(json.dumps({"load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
