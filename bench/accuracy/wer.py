"""python -m bench.accuracy.wer: how well a model hears, offline and through the server's socket.

Offline: whole utterances, one after the other, through the recognizer in this process, on one thread.
Streaming: the same utterances, joined with gaps of random length, through the socket of a server that is
started for it; a final counts for the utterance that it overlaps most. Unguarded: what the recognizer makes
of the finals' sound by itself: without guards, and without regard to what partials have promised.

Unpaced, the server takes sound as fast as it can: that is about words. --paced sends in real time, three
times: with partials, without them, and without eager finals; that is about latency and cost.
--nonspeech: sounds without words, through the same socket.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from bench import ROOT

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch, as main.py has it
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

from asr import model_registry
from asr.model_registry import LoadedModel
from asr.recognizer import RecognitionRequest, Recognizer
from audio.clip import SAMPLE_RATE, Clip, samples_from_ms
from bench.accuracy.corpus import LongRecording, by_speaker, deal, join, pick, read_manifest, share_out
from bench.accuracy.stream_scoring import (
    ReceivedUtterance,
    emitted,
    offline_figures,
    segment_figures,
    streamed_figures,
)
from bench.accuracy.text_metrics import Normalizer
from bench.load.event_loop_lag import fetch_metrics
from bench.load.latency import gained, latencies, partial_figures
from bench.load.load import settings_of, show
from bench.load.machine import machine
from bench.load.process_monitor import usage_of
from bench.load.protocol_overhead import Server, free_port, running_server
from bench.load.recording_client import RecordingClient, listen
from bench.load.server_counters import ServerCounters
from server.settings import Settings

AUDIO: Final = ROOT.parent / "shared" / "audio"
SERVER: Final = ("ASR_", "VAD_", "EAGER_", "PARTIAL_", "GUARD_", "TURN")  # how its settings begin
SPELLINGS: Final = ROOT.parent / "shared" / "models" / "whisper-tiny.en-relearned" / "normalizer.json"
HANDS: Final = 8  # streams of sounds without words
WARMING: Final = 5 * SAMPLE_RATE

Table = dict[str, dict[str, Any]]  # columns of rows


def transcribe(recognizer: Recognizer, clips: Sequence[Clip]) -> tuple[list[str], dict[str, Any]]:
    """One after the other; and what it cost."""
    wall, cpu = time.monotonic(), time.process_time()
    texts = [recognizer.transcribe([RecognitionRequest(clip)])[0].text for clip in clips]
    seconds = sum(clip.seconds for clip in clips)
    return texts, {
        "audio_seconds": round(seconds, 1),
        "rtf": round((time.monotonic() - wall) / seconds, 4),
        "cpu_s_per_audio_s": round((time.process_time() - cpu) / seconds, 4),
    }


@dataclass(frozen=True, slots=True)
class Passage:
    """All recordings through the server once: what came back, what it cost, what /metrics counted."""

    listeners: list[RecordingClient]
    cost: dict[str, Any]
    counts: ServerCounters


async def stream_all(
    server: Server, recordings: Sequence[LongRecording], streams: int, *, paced: bool, partials: bool
) -> Passage:
    """Each recording in a stream of its own, so many at once."""
    gate = asyncio.Semaphore(streams)

    async def one(samples: Any) -> RecordingClient:
        async with gate:
            return await listen(server.url, samples, paced=paced, partials=partials)

    await one(recordings[0].samples[:WARMING])
    before = await asyncio.to_thread(counts_of, server)
    wall, cpu = time.monotonic(), usage_of(server.pid).cpu
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(one(recording.samples)) for recording in recordings]
    seconds = sum(recording.seconds for recording in recordings)
    cost = {
        "audio_seconds": round(seconds, 1),
        "rtf": round((time.monotonic() - wall) / seconds, 4),
        "cpu_s_per_audio_s": round((usage_of(server.pid).cpu - cpu) / seconds, 4),
        "load": round(os.getloadavg()[0], 1),
    }
    after = await asyncio.to_thread(counts_of, server)
    return Passage([task.result() for task in running], cost, after.since(before))


def counts_of(server: Server) -> ServerCounters:
    return ServerCounters.read(fetch_metrics(server.url) or "")


def alone(
    recognizer: Recognizer, recordings: Sequence[LongRecording], listeners: Sequence[RecordingClient]
) -> list[RecordingClient]:
    """The same streams, each final with what the recognizer here makes of its sound."""
    return [
        replace(
            listener,
            finals=[
                replace(final, text=text)
                for final, text in zip(listener.finals, _texts(recognizer, recording, listener), strict=True)
            ],
        )
        for recording, listener in zip(recordings, listeners, strict=True)
    ]


def _texts(recognizer: Recognizer, recording: LongRecording, listener: RecordingClient) -> list[str]:
    spans = [(samples_from_ms(f.start_ms), samples_from_ms(f.end_ms)) for f in listener.finals]
    requests = [RecognitionRequest(Clip(recording.samples[start:end])) for start, end in spans]
    return [recognizer.transcribe([request])[0].text for request in requests]


def unlike(listeners: Sequence[RecordingClient], others: Sequence[RecordingClient]) -> list[tuple[str, str]]:
    """The texts of those finals that are not the same."""
    return [
        (final.text, other.text)
        for one, another in zip(listeners, others, strict=True)
        for final, other in zip(one.finals, another.finals, strict=True)
        if final.text != other.text
    ]


def heard_in(
    recordings: Sequence[LongRecording],
    listeners: Sequence[RecordingClient],
    normalizer: Normalizer,
    offline: Mapping[Any, list[str]],
) -> list[ReceivedUtterance]:
    return [
        each
        for recording, listener in zip(recordings, listeners, strict=True)
        for each in ReceivedUtterance.from_stream(recording.places, listener, normalizer, offline)
    ]


def measure_words(
    recognizer: Recognizer, settings: Mapping[str, str], normalizer: Normalizer, options: argparse.Namespace
) -> Table:
    rng = np.random.default_rng(options.seed)
    entries = pick(read_manifest(AUDIO / options.set), options.most, rng, options.speakers)
    texts, cost = transcribe(recognizer, [Clip(entry.read()) for entry in entries])
    offline = {entry: normalizer.words(text) for entry, text in zip(entries, texts, strict=True)}
    recordings = [join(group, rng, tuple(options.gap_seconds)) for group in by_speaker(entries).values()]
    with running_server(options.server_core, settings) as server:
        passage = asyncio.run(stream_all(server, recordings, options.streams, paced=False, partials=False))
    unguarded = alone(recognizer, recordings, passage.listeners)
    heard = heard_in(recordings, passage.listeners, normalizer, offline)
    for streamed, text in unlike(passage.listeners, unguarded):
        print(f"  {streamed!r}, and by itself {text!r}")
    if options.verbose:
        print(*(each.line() for each in heard), sep="\n")
    return {
        "offline": {"utterances": len(entries)} | offline_figures(heard) | cost,
        "streaming": streamed_figures(heard) | passage.cost,
        "unguarded": streamed_figures(heard_in(recordings, unguarded, normalizer, offline)),
        "segments": {
            **segment_figures(heard, recordings, passage.listeners, normalizer),
            "finals": passage.counts.finals,
            "guarded": dict(passage.counts.guarded),
        },
    }


def measure_times(recognizer: Recognizer, settings: Mapping[str, str], options: argparse.Namespace) -> Table:
    rng = np.random.default_rng(options.seed)
    entries = pick(read_manifest(AUDIO / options.set), options.most, rng, options.speakers)
    recordings = [join(part, rng, tuple(options.gap_seconds)) for part in share_out(entries, options.streams)]

    def run(server: Server, *, partials: bool) -> Passage:
        return asyncio.run(stream_all(server, recordings, options.streams, paced=True, partials=partials))

    with running_server(options.server_core, settings) as server:
        shown, bare = run(server, partials=True), run(server, partials=False)
    with running_server(options.server_core, {**settings, "EAGER_FINALS": "false"}) as server:
        late = run(server, partials=False)
    passages = {"with partials": shown, "finals alone": bare, "not eager": late}
    by_itself = alone(recognizer, recordings, shown.listeners)
    for streamed, text in unlike(shown.listeners, by_itself):
        print(f"  {streamed!r}, and by itself {text!r}")
    return {
        name: latencies(recordings, passage.listeners) | passage.counts.figures() | passage.cost
        for name, passage in passages.items()
    } | {
        "over all": {
            "cpu_with_partials_over_finals_alone": _ratio(shown, bare),
            "eager": gained(late.listeners, bare.listeners),
            **partial_figures(shown.listeners, by_itself),
        }
    }


def _ratio(one: Passage, other: Passage) -> float:
    return round(float(one.cost["cpu_s_per_audio_s"] / other.cost["cpu_s_per_audio_s"]), 2)


def measure_nonspeech(
    recognizer: Recognizer, settings: Mapping[str, str], options: argparse.Namespace
) -> Table:
    rng = np.random.default_rng(options.seed)
    entries = read_manifest(AUDIO / "nonspeech")
    recordings = [join(hand, rng, tuple(options.gap_seconds)) for hand in deal(entries, HANDS)]
    with running_server(options.server_core, settings) as server:
        passage = asyncio.run(
            stream_all(server, recordings, options.streams, paced=options.paced, partials=True)
        )
    table: Table = {}
    for name, listeners in (
        ("guarded", passage.listeners),
        ("unguarded", alone(recognizer, recordings, passage.listeners)),
    ):
        table[name], found = emitted(recordings, listeners)
        for path, category, text in found:
            print(f"  {name:10} {category:34} {path.name:34} {text!r}")
    table["guarded"] |= {"by": dict(passage.counts.guarded)} | passage.cost
    return table


def lines_of(table: Table) -> list[str]:
    """The table in Markdown; what is not known of a column is left empty."""
    rows = dict.fromkeys(row for column in table.values() for row in column)
    return [
        "| " + " | ".join(("", *table)) + " |",
        "|" + "---|" * (len(table) + 1),
        *(
            "| " + " | ".join((row, *(str(column.get(row, "")) for column in table.values()))) + " |"
            for row in rows
        ),
    ]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.accuracy.wer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="pocketsphinx", help="auto, a folder, a model id of the hub …")
    parser.add_argument("--set", default="librispeech", help="a folder of ../shared/audio with a manifest")
    parser.add_argument("--most", type=int, default=60, help="utterances")
    parser.add_argument("--speakers", nargs="*", default=[], help="only these")
    parser.add_argument("--gap-seconds", type=float, nargs=2, default=(0.6, 2.5), metavar=("MIN", "MAX"))
    parser.add_argument("--streams", type=int, default=2, help="at once")
    parser.add_argument("--paced", action="store_true", help="in real time")
    parser.add_argument("--nonspeech", action="store_true", help="sounds without words, and nothing else")
    parser.add_argument("--server-core", type=int, help="the server keeps to it; by default to none")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="print every utterance")
    return parser.parse_args()


def load(model: str) -> LoadedModel:
    """As the server will have it."""
    settings = Settings()
    return model_registry.load(
        model,
        device=settings.asr_device,
        dtype=settings.asr_dtype,
        hub_timeout=settings.hub_timeout_seconds,
        audio_context=settings.asr_audio_context,
    )


def measure(recognizer: Recognizer, settings: Mapping[str, str], options: argparse.Namespace) -> Table:
    if options.nonspeech:
        return measure_nonspeech(recognizer, settings, options)
    if options.paced:
        return measure_times(recognizer, settings, options)
    normalizer = Normalizer(SPELLINGS if SPELLINGS.exists() else None)
    return measure_words(recognizer, settings, normalizer, options)


def main() -> int:
    options = arguments()
    if not AUDIO.is_dir():
        raise SystemExit(f"there is no {os.path.relpath(AUDIO)}: this bench needs recorded speech")
    recognizer = load(options.model)
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
        "recognizer": asdict(recognizer.description),
        "server": {name: value for name, value in os.environ.items() if name.startswith(SERVER)},
    }
    for title, part in head.items():
        show(title, part)
    print(flush=True)
    table = measure(recognizer, settings, options)
    print("", *lines_of(table), "", sep="\n")
    print(json.dumps({"bench": "wer", **head, "table": table}, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
