"""python -m bench.wer: how well a model hears, offline and through the server's socket.

Offline: whole utterances, one after the other, through the recognizer in this process, on one thread.
Streaming: the same utterances, each speaker's joined with gaps of random length, through the socket of a
server that is started for it; a final counts for the utterance that it overlaps most. --paced sends in real
time, and only then latencies mean something; else the server takes sound as fast as it can.
--nonspeech: sounds without words, through the same socket.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch, as main.py has it
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

from asr import models
from asr.hypothesis import Recognizer, Request
from audio.clip import Clip, samples_from_ms
from bench.accuracy import Normalizer
from bench.corpus import Entry, Recording, by_speaker, deal, join, pick, read_manifest
from bench.listener import Listener, listen
from bench.load import settings_of, show
from bench.machine import machine
from bench.shell import Server, free_port, running_server
from bench.verdict import Heard, emitted, latencies, offline_figures, streaming_figures
from bench.watch import usage_of

ROOT: Final = Path(__file__).parents[1]
AUDIO: Final = ROOT.parent / "shared" / "audio"
SERVER: Final = ("ASR_", "VAD_", "EAGER_", "PARTIAL_")  # how its settings begin
SPELLINGS: Final = ROOT.parent / "shared" / "models" / "whisper-tiny.en-relearned" / "normalizer.json"


def transcribe(recognizer: Recognizer, clips: Sequence[Clip]) -> tuple[list[str], dict[str, Any]]:
    """One after the other; and what it cost."""
    wall, cpu = time.monotonic(), time.process_time()
    texts = [recognizer.transcribe([Request(clip)])[0].text for clip in clips]
    seconds = sum(clip.seconds for clip in clips)
    return texts, {
        "audio_seconds": round(seconds, 1),
        "rtf": round((time.monotonic() - wall) / seconds, 4),
        "cpu_s_per_audio_s": round((time.process_time() - cpu) / seconds, 4),
    }


async def stream_all(
    server: Server, recordings: Sequence[Recording], options: argparse.Namespace
) -> tuple[list[Listener], dict[str, Any]]:
    """Each recording in a stream of its own, `--streams` at once; and what it cost."""
    gate = asyncio.Semaphore(options.streams)

    async def one(recording: Recording) -> Listener:
        async with gate:
            return await listen(
                server.url, recording.samples, paced=options.paced, partials=not options.no_partials
            )

    wall, cpu = time.monotonic(), usage_of(server.pid).cpu
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(one(recording)) for recording in recordings]
    seconds = sum(recording.seconds for recording in recordings)
    return [task.result() for task in running], {
        "audio_seconds": round(seconds, 1),
        "rtf": round((time.monotonic() - wall) / seconds, 4),
        "cpu_s_per_audio_s": round((usage_of(server.pid).cpu - cpu) / seconds, 4),
    }


def alone(
    recognizer: Recognizer, recordings: Sequence[Recording], listeners: Sequence[Listener]
) -> list[tuple[str, str]]:
    """Every final, and what the recognizer here makes of the same samples; they should be the same."""
    pairs = [
        (final.text, Clip(recording.samples[samples_from_ms(final.start_ms) : samples_from_ms(final.end_ms)]))
        for recording, listener in zip(recordings, listeners, strict=True)
        for final in listener.finals
    ]
    texts, _ = transcribe(recognizer, [clip for _, clip in pairs])
    return [(streamed, text) for (streamed, _), text in zip(pairs, texts, strict=True)]


def measure_speech(
    recognizer: Recognizer, server: Server, normalizer: Normalizer, options: argparse.Namespace
) -> dict[str, Any]:
    rng = np.random.default_rng(options.seed)
    entries = pick(read_manifest(AUDIO / options.set), options.most, rng, options.speakers)
    texts, cost = transcribe(recognizer, [Clip(entry.read()) for entry in entries])
    offline = {entry: normalizer.words(text) for entry, text in zip(entries, texts, strict=True)}
    recordings = [join(group, rng, tuple(options.gap_seconds)) for group in by_speaker(entries).values()]
    listeners, live_cost = asyncio.run(stream_all(server, recordings, options))
    heard = [
        each
        for recording, listener in zip(recordings, listeners, strict=True)
        for each in Heard.from_stream(recording.places, listener, normalizer, offline)
    ]
    lone = [] if options.no_alone else alone(recognizer, recordings, listeners)
    figures = {
        "offline": offline_figures(heard) | cost,
        "streaming": streaming_figures(heard, recordings, listeners, normalizer) | live_cost,
        "finals_unlike_their_segment_alone": sum(streamed != text for streamed, text in lone),
    }
    if options.paced:
        figures["latency"] = latencies(recordings, listeners)
    for streamed, text in [pair for pair in lone if pair[0] != pair[1]][:5]:
        print(f"  unlike alone: {streamed!r} <> {text!r}")
    if options.verbose:
        print(*(each.line() for each in heard), sep="\n")
    return figures


def measure_nonspeech(server: Server, options: argparse.Namespace) -> dict[str, Any]:
    rng = np.random.default_rng(options.seed)
    entries: list[Entry] = read_manifest(AUDIO / "nonspeech")
    recordings = [join(hand, rng, tuple(options.gap_seconds)) for hand in deal(entries, 8)]
    listeners, cost = asyncio.run(stream_all(server, recordings, options))
    figures, found = emitted(recordings, listeners)
    for path, category, text in found:
        print(f"  {category:34} {path.name:34} {text!r}")
    return {"nonspeech": figures | cost}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.wer", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="pocketsphinx", help="auto, a folder, a model id of the hub …")
    parser.add_argument("--set", default="librispeech", help="a folder of ../shared/audio with a manifest")
    parser.add_argument("--most", type=int, default=60, help="utterances")
    parser.add_argument("--speakers", nargs="*", default=[], help="only these")
    parser.add_argument("--gap-seconds", type=float, nargs=2, default=(0.6, 2.5), metavar=("MIN", "MAX"))
    parser.add_argument("--streams", type=int, default=2, help="at once")
    parser.add_argument("--paced", action="store_true", help="in real time")
    parser.add_argument("--no-partials", action="store_true")
    parser.add_argument("--no-alone", action="store_true", help="do not check finals against their segments")
    parser.add_argument("--nonspeech", action="store_true", help="sounds without words, and nothing else")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="print every utterance")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if not AUDIO.is_dir():
        raise SystemExit(f"there is no {os.path.relpath(AUDIO)}: this bench needs recorded speech")
    settings = {
        "ASR_MODEL": str(Path(options.model).resolve()) if Path(options.model).is_dir() else options.model,
        "ASR_THREADS": "1",
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
        "LOG_LEVEL": "warning",
    }
    head = {
        "machine": machine() | {"load": [round(each, 1) for each in os.getloadavg()]},
        "settings": settings_of(options) | {"spellings": SPELLINGS.exists()},
        "server": {name: value for name, value in os.environ.items() if name.startswith(SERVER)},
    }
    for title, part in head.items():
        show(title, part)
    normalizer = Normalizer(SPELLINGS if SPELLINGS.exists() else None)
    with running_server(options.server_core, settings) as server:
        if options.nonspeech:
            figures = measure_nonspeech(server, options)
        else:
            figures = measure_speech(models.load(options.model), server, normalizer, options)
    for title, part in figures.items():
        show(title, part) if isinstance(part, dict) else print(f"\n{title}: {part}")
    load_after = round(os.getloadavg()[0], 1)
    print(json.dumps({"bench": "wer", **head, **figures, "load_after": load_after}, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
