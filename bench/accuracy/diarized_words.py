"""Measure whether the words of files change when speakers are distinguished.

    python -m bench.accuracy.diarized_words ../shared/audio/librispeech --model whisper-tiny.en --joins 2

Each join has recordings of three speakers in turn, with faint noise between them. It is transcribed as a file
twice, without and with speakers, and both texts are compared with the words that were said, and with one
another.
"""

import argparse
import asyncio
import io
import json
import os
import wave
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from asr.recognizer import TranscriptionOptions
from audio.clip import SAMPLE_RATE, Samples
from bench.accuracy.corpus import ManifestEntry, by_speaker, join, read_manifest
from bench.accuracy.text_metrics import Normalizer, compare
from bench.load.machine import machine
from engine.file_diarizer import DiarizationOptions
from engine.file_transcriber import FileTranscriber
from engine.speaker_model import SpeakerModel, speaker_worker
from engine.workers import load_models
from streaming.model_clients import ModelClients
from streaming.options import SessionOptions

SPEAKERS: Final = 3
GAP: Final = (0.3, 1.0)  # seconds


def picked(entries: Sequence[ManifestEntry], seed: int, turns: int) -> list[ManifestEntry]:
    """Return recordings of a few speakers, who take turns."""
    groups = by_speaker(entries)
    rng = np.random.default_rng(seed)
    names = [str(name) for name in rng.choice(sorted(groups), SPEAKERS, replace=False)]
    chosen = {name: rng.permutation(len(groups[name]))[:turns] for name in names}
    return [groups[name][chosen[name][turn]] for turn in range(turns) for name in names]


def as_wav(samples: Samples) -> io.BytesIO:
    """Return a recording as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as output:
        output.setnchannels(1)
        output.setsampwidth(2)
        output.setframerate(SAMPLE_RATE)
        output.writeframes((samples.clip(-1, 1) * 32_767).astype("<i2").tobytes())
    file.seek(0)
    return file


async def texts(
    file: io.BytesIO, models: ModelClients, diarization: DiarizationOptions | None
) -> tuple[str, set[str | None]]:
    """Return the text of a file, and the labels of its speakers."""
    options = SessionOptions(asr=TranscriptionOptions(words=True)).for_file()
    work = FileTranscriber(file, diarization=diarization)
    await work.check()
    async with aclosing(work.transcribe(models, options)) as segments:
        found = [segment async for segment in segments]
    text = " ".join(segment.hypothesis.text for segment in found)
    return text, {segment.speaker for segment in found}


async def measure(folder: Path, model: str, joins: int, turns: int) -> dict[str, Any]:
    """Return the word error rates without and with speakers."""
    normalizer = Normalizer()
    wrong = {"without": 0, "with": 0}
    words, changed, seconds, labels = 0, 0, 0.0, []
    async with AsyncExitStack() as stack:
        models, description = await stack.enter_async_context(load_models(model))
        speakers = await stack.enter_async_context(SpeakerModel(speaker_worker))
        models = replace(models, speakers=speakers)
        for seed in range(joins):
            recording = join(picked(read_manifest(folder), seed, turns), np.random.default_rng(seed), GAP)
            said = normalizer.words(" ".join(place.entry.text for place in recording.places))
            bare, _ = await texts(as_wav(recording.samples), models, None)
            named, found = await texts(as_wav(recording.samples), models, DiarizationOptions())
            words += len(said)
            wrong["without"] += compare(said, normalizer.words(bare)).errors.wrong
            wrong["with"] += compare(said, normalizer.words(named)).errors.wrong
            changed += bare.split() != named.split()
            labels.append(len(found))
            seconds += len(recording.samples) / SAMPLE_RATE
    rates = {f"WER % {how} speakers": round(100 * count / words, 2) for how, count in wrong.items()}
    return {
        "model": description.model,
        "seconds": round(seconds),
        "words": words,
        **rates,
        "texts that differ": changed,
        "speakers found": labels,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="folder with manifest.jsonl")
    parser.add_argument("--model", default="whisper-tiny.en", help="a value of ASR_MODEL")
    parser.add_argument("--joins", type=int, default=2)
    parser.add_argument("--turns", type=int, default=6, help="recordings of each speaker in a join")
    args = parser.parse_args(arguments)
    row = asyncio.run(measure(args.folder, args.model, args.joins, args.turns))
    print(json.dumps({"machine": machine(), "load": round(os.getloadavg()[0], 1), **row}))


if __name__ == "__main__":
    main()
