"""Measure the word error rate of a model offline and through the server's WebSocket.

    python -m bench.accuracy.wer --model pocketsphinx --most 60

"offline": whole utterances, one after the other, through the recognizer in this process, on one thread.
"streaming": the same utterances, joined with gaps of random length, through a server that is started for the
run; a final counts for the utterance that it overlaps most. "unguarded": the recognizer alone, over the audio
of the finals, without the hallucination filter and without regard to the stable words of partials.

By default audio is sent as fast as the server takes it, to measure words. With --paced it is sent in real
time, three times: with partials, without partials, and without eager finals. That measures latency and cost.
With --nonspeech the recordings contain no speech, and the words that the server writes are counted.
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

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # must be set before torch is imported, as in main.py
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

from asr import model_registry
from asr.model_registry import LoadedModel
from asr.recognizer import RecognitionRequest, Recognizer
from audio.clip import SAMPLE_RATE, Clip, samples_from_ms
from bench.accuracy.corpus import (
    LongRecording,
    by_speaker,
    distribute,
    join,
    pick,
    read_manifest,
    split_by_length,
)
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
from bench.load.protocol_overhead import RunningServer, free_port, running_server
from bench.load.recording_client import RecordingClient, stream_recording
from bench.load.server_counters import ServerCounters
from server.settings import Settings

AUDIO: Final = ROOT.parent / "shared" / "audio"
SETTING_PREFIXES: Final = ("ASR_", "VAD_", "EAGER_", "PARTIAL_", "HALLUCINATION_", "ENDPOINTING")
SPELLINGS: Final = ROOT.parent / "shared" / "models" / "whisper-normalizer.json"
NONSPEECH_STREAMS: Final = 8
WARM_UP_SAMPLES: Final = 5 * SAMPLE_RATE

Table = dict[str, dict[str, Any]]  # column to row to value


def transcribe(recognizer: Recognizer, clips: Sequence[Clip]) -> tuple[list[str], dict[str, Any]]:
    """Transcribe the clips one after the other. Returns the texts and the cost."""
    wall, cpu = time.monotonic(), time.process_time()
    texts = [recognizer.transcribe([RecognitionRequest(clip)])[0].text for clip in clips]
    seconds = sum(clip.seconds for clip in clips)
    return texts, {
        "audio_seconds": round(seconds, 1),
        "rtf": round((time.monotonic() - wall) / seconds, 4),
        "cpu_s_per_audio_s": round((time.process_time() - cpu) / seconds, 4),
    }


@dataclass(frozen=True, slots=True)
class StreamingRun:
    """Hold the result of streaming all recordings once.

    receivers: what each stream received; cost: CPU and time; counts: the difference of /metrics
    """

    receivers: list[RecordingClient]
    cost: dict[str, Any]
    counts: ServerCounters


async def stream_all(
    server: RunningServer, recordings: Sequence[LongRecording], streams: int, *, paced: bool, partials: bool
) -> StreamingRun:
    """Stream each recording over a connection of its own, `streams` at a time."""
    limit = asyncio.Semaphore(streams)

    async def one(samples: Any) -> RecordingClient:
        async with limit:
            return await stream_recording(server.url, samples, paced=paced, partials=partials)

    await one(recordings[0].samples[:WARM_UP_SAMPLES])
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
    return StreamingRun([task.result() for task in running], cost, after.since(before))


def counts_of(server: RunningServer) -> ServerCounters:
    """Return the current counters of the server."""
    return ServerCounters.read(fetch_metrics(server.url) or "")


def recognize_alone(
    recognizer: Recognizer, recordings: Sequence[LongRecording], receivers: Sequence[RecordingClient]
) -> list[RecordingClient]:
    """Return the same streams, with the text of each final as this process recognizes its audio."""
    return [
        replace(
            receiver,
            finals=[
                replace(final, text=text)
                for final, text in zip(receiver.finals, _texts(recognizer, recording, receiver), strict=True)
            ],
        )
        for recording, receiver in zip(recordings, receivers, strict=True)
    ]


def _texts(recognizer: Recognizer, recording: LongRecording, receiver: RecordingClient) -> list[str]:
    spans = [(samples_from_ms(f.start_ms), samples_from_ms(f.end_ms)) for f in receiver.finals]
    requests = [RecognitionRequest(Clip(recording.samples[start:end])) for start, end in spans]
    return [recognizer.transcribe([request])[0].text for request in requests]


def differing_texts(
    receivers: Sequence[RecordingClient], others: Sequence[RecordingClient]
) -> list[tuple[str, str]]:
    """Return both texts of each final whose texts differ."""
    return [
        (final.text, other.text)
        for one, another in zip(receivers, others, strict=True)
        for final, other in zip(one.finals, another.finals, strict=True)
        if final.text != other.text
    ]


def received_utterances(
    recordings: Sequence[LongRecording],
    receivers: Sequence[RecordingClient],
    normalizer: Normalizer,
    offline: Mapping[Any, list[str]],
) -> list[ReceivedUtterance]:
    """Assign the finals of all streams to the utterances of their recordings."""
    return [
        each
        for recording, receiver in zip(recordings, receivers, strict=True)
        for each in ReceivedUtterance.from_stream(recording.places, receiver, normalizer, offline)
    ]


def measure_words(
    recognizer: Recognizer, settings: Mapping[str, str], normalizer: Normalizer, options: argparse.Namespace
) -> Table:
    """Measure word errors, offline and streamed as fast as the server takes the audio."""
    rng = np.random.default_rng(options.seed)
    entries = pick(read_manifest(AUDIO / options.set), options.most, rng, options.speakers)
    texts, cost = transcribe(recognizer, [Clip(entry.read()) for entry in entries])
    offline = {entry: normalizer.words(text) for entry, text in zip(entries, texts, strict=True)}
    recordings = [join(group, rng, tuple(options.gap_seconds)) for group in by_speaker(entries).values()]
    with running_server(options.server_core, settings) as server:
        run = asyncio.run(stream_all(server, recordings, options.streams, paced=False, partials=False))
    unguarded = recognize_alone(recognizer, recordings, run.receivers)
    utterances = received_utterances(recordings, run.receivers, normalizer, offline)
    _print_differences(run.receivers, unguarded)
    if options.verbose:
        print(*(each.line() for each in utterances), sep="\n")
    return {
        "offline": {"utterances": len(entries)} | offline_figures(utterances) | cost,
        "streaming": streamed_figures(utterances) | run.cost,
        "unguarded": streamed_figures(received_utterances(recordings, unguarded, normalizer, offline)),
        "segments": {
            **segment_figures(utterances, recordings, run.receivers, normalizer),
            "finals": run.counts.finals,
            "guarded": dict(run.counts.guarded),
        },
    }


def measure_times(recognizer: Recognizer, settings: Mapping[str, str], options: argparse.Namespace) -> Table:
    """Measure latency, cost and the stability of partials, with audio sent in real time."""
    rng = np.random.default_rng(options.seed)
    entries = pick(read_manifest(AUDIO / options.set), options.most, rng, options.speakers)
    recordings = [
        join(part, rng, tuple(options.gap_seconds)) for part in split_by_length(entries, options.streams)
    ]

    def run(server: RunningServer, *, partials: bool) -> StreamingRun:
        return asyncio.run(stream_all(server, recordings, options.streams, paced=True, partials=partials))

    with running_server(options.server_core, settings) as server:
        with_partials, finals_only = run(server, partials=True), run(server, partials=False)
    with running_server(options.server_core, {**settings, "EAGER_FINALS": "false"}) as server:
        not_eager = run(server, partials=False)
    runs = {"with partials": with_partials, "finals alone": finals_only, "not eager": not_eager}
    alone = recognize_alone(recognizer, recordings, with_partials.receivers)
    _print_differences(with_partials.receivers, alone)
    return {
        name: latencies(recordings, each.receivers) | each.counts.figures() | each.cost
        for name, each in runs.items()
    } | {
        "over all": {
            "cpu_with_partials_over_finals_alone": _cost_ratio(with_partials, finals_only),
            "eager": gained(not_eager.receivers, finals_only.receivers),
            **partial_figures(with_partials.receivers, alone),
        }
    }


def _print_differences(receivers: Sequence[RecordingClient], others: Sequence[RecordingClient]) -> None:
    for streamed, text in differing_texts(receivers, others):
        print(f"  streamed {streamed!r}, recognizer alone {text!r}")


def _cost_ratio(one: StreamingRun, other: StreamingRun) -> float:
    return round(float(one.cost["cpu_s_per_audio_s"] / other.cost["cpu_s_per_audio_s"]), 2)


def measure_nonspeech(
    recognizer: Recognizer, settings: Mapping[str, str], options: argparse.Namespace
) -> Table:
    """Count the words that the server writes for recordings without speech."""
    rng = np.random.default_rng(options.seed)
    groups = distribute(read_manifest(AUDIO / "nonspeech"), NONSPEECH_STREAMS)
    recordings = [join(group, rng, tuple(options.gap_seconds)) for group in groups]
    with running_server(options.server_core, settings) as server:
        run = asyncio.run(stream_all(server, recordings, options.streams, paced=options.paced, partials=True))
    table: Table = {}
    for name, receivers in (
        ("guarded", run.receivers),
        ("unguarded", recognize_alone(recognizer, recordings, run.receivers)),
    ):
        table[name], found = emitted(recordings, receivers)
        for path, category, text in found:
            print(f"  {name:10} {category:34} {path.name:34} {text!r}")
    table["guarded"] |= {"by": dict(run.counts.guarded)} | run.cost
    return table


def lines_of(table: Table) -> list[str]:
    """Return the lines of the table in Markdown. A value that a column lacks is left empty."""
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
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.accuracy.wer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--model",
        default="pocketsphinx",
        help="a value of ASR_MODEL: auto, a folder, a model id of the hub …",
    )
    parser.add_argument("--set", default="librispeech", help="a folder of ../shared/audio with a manifest")
    parser.add_argument("--most", type=int, default=60, help="most utterances to use")
    parser.add_argument("--speakers", nargs="*", default=[], help="speakers to use; all by default")
    parser.add_argument("--gap-seconds", type=float, nargs=2, default=(0.6, 2.5), metavar=("MIN", "MAX"))
    parser.add_argument("--streams", type=int, default=2, help="concurrent streams")
    parser.add_argument("--paced", action="store_true", help="send audio in real time")
    parser.add_argument("--nonspeech", action="store_true", help="stream recordings without speech instead")
    parser.add_argument("--server-core", type=int, help="CPU core for the server; by default any")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="print every utterance")
    return parser.parse_args()


def load(model: str) -> LoadedModel:
    """Load a model with the settings that the server will use."""
    settings = Settings()
    return model_registry.load(
        model,
        device=settings.asr_device,
        dtype=settings.asr_dtype,
        hub_timeout=settings.hub_timeout_seconds,
        audio_context=settings.asr_audio_context,
    )


def measure(recognizer: Recognizer, settings: Mapping[str, str], options: argparse.Namespace) -> Table:
    """Run the measurement that the options ask for."""
    if options.nonspeech:
        return measure_nonspeech(recognizer, settings, options)
    if options.paced:
        return measure_times(recognizer, settings, options)
    normalizer = Normalizer(SPELLINGS if SPELLINGS.exists() else None)
    return measure_words(recognizer, settings, normalizer, options)


def main() -> int:
    """Run the benchmark and return the exit status."""
    options = arguments()
    if not AUDIO.is_dir():
        raise SystemExit(f"{os.path.relpath(AUDIO)} does not exist. This benchmark needs recorded speech.")
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
        "server": {name: value for name, value in os.environ.items() if name.startswith(SETTING_PREFIXES)},
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
