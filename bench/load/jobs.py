"""Measure jobs: a long queue, a long file, and live streams beside jobs.

    python -m bench.load.jobs --queued 10000 --minutes 60 --model whisper-tiny.en

First, jobs are submitted to an empty SQLite database without a worker, while their latencies and the memory
are measured. Then a server that works on jobs transcribes one long file; its recognizer is simulated and has
a fixed pace, the voice detector is the real one. At last live streams run in real time on a server with a
real recognizer, in turn alone and beside as many long jobs as it runs at once.

The exit status is 1 if a figure misses its target.
"""

import argparse
import asyncio
import io
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import psutil  # type: ignore[import-untyped]
import uvloop

from bench import ROOT
from bench.accuracy.scoring import summary
from bench.load.file_upload import CpuMeter, make_speech
from bench.load.load import describe, raise_file_limit, record_tapes, report, settings_of, show
from bench.load.load_generator import LoadResult, run_load, settings_frame
from bench.load.machine import machine
from bench.load.message_tape import Tape
from bench.load.overload import settings_for
from bench.load.protocol_overhead import RunningServer, free_port, running_server
from jobs.job import Job, JobSource, JobState, NewJob
from jobs.options import JobsOptions
from jobs.service import JobDatabase, Jobs

EVENTS: Final = ["transcript.partial", "session.closed"]
OWNERS: Final = 20
PAGE: Final = 50  # jobs of a list
LISTS: Final = 300  # calls that are measured
UPLOAD_BYTES: Final = 32_000  # of a job in the queue
SUBMIT_P95_MS: Final = 50.0
LIST_P95_MS: Final = 50.0
QUEUE_MB: Final = 20.0  # growth of the memory from a tenth of the queue to all of it
FILE_MB: Final = 150.0  # above idle
PROGRESS_SECONDS: Final = 2.0
LIVE_RATIO: Final = 1.3
MIB: Final = 1 << 20


async def measure_queue(folder: Path, queued: int) -> dict[str, Any]:
    """Fill a queue, and list its jobs."""
    database = JobDatabase(JobsOptions(folder))
    jobs = Jobs(database)
    process = psutil.Process()
    submits: list[float] = []
    early_rss = 0
    ids: list[str] = []
    for number in range(queued):
        if number == queued // 10:
            early_rss = process.memory_info().rss
        began = time.perf_counter()
        ids.append((await submit(jobs, f"owner-{number % OWNERS}", io.BytesIO(bytes(UPLOAD_BYTES)))).id)
        submits.append((time.perf_counter() - began) * 1000)
    full_rss = process.memory_info().rss
    lists, reads = [], []
    for number in range(LISTS):
        began = time.perf_counter()
        await jobs.find(f"owner-{number % OWNERS}", limit=PAGE)
        lists.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        await jobs.get(ids[-1 - number])
        reads.append((time.perf_counter() - began) * 1000)
    database.close()
    tenth = queued // 10
    return {
        "queued": queued,
        "submit_ms": summary(submits),
        "submit_ms_first_tenth": summary(submits[:tenth]),
        "submit_ms_last_tenth": summary(submits[-tenth:]),
        "list_ms": summary(lists),
        "get_with_position_ms": summary(reads),
        "memory_growth_mb": round((full_rss - early_rss) / MIB, 1),
    }


async def submit(jobs: Jobs, owner: str, file: IO[bytes]) -> Job:
    """Submit an upload."""
    audio = await jobs.save_audio(file)
    source = JobSource(name="speech.wav", audio=audio.key, size=audio.size)
    return (await jobs.submit(NewJob(owner, source)))[0]


async def measure_file(jobs: Jobs, speech: Path, pid: int) -> dict[str, Any]:
    """Transcribe a long file as a job of a running server."""
    with speech.open("rb") as file, CpuMeter(pid) as meter:
        job = await submit(jobs, "one", file)
        last, done, gaps = time.monotonic(), 0.0, []
        async for transcript in jobs.watch(job.id):
            if transcript.job.seconds_done > done:
                gaps.append(time.monotonic() - last)
                last, done = time.monotonic(), transcript.job.seconds_done
            job = transcript.job
    assert job.state is JobState.SUCCEEDED, job.problem
    return {
        "audio_s": job.seconds_done,
        "wall_s": round(meter.cost.wall, 1),
        "cpu_s": round(meter.cost.cpu, 1),
        "idle_mb": round(meter.cost.rss_before / MIB, 1),
        "peak_above_idle_mb": round((meter.cost.rss_peak - meter.cost.rss_before) / MIB, 1),
        "progress_gap_ms": summary([1000 * gap for gap in gaps]),
        "first_progress_s": round(gaps[0], 2),
    }


async def measure_live(
    jobs: Jobs, speech: Path, tapes: Sequence[Tape], server: RunningServer, options: argparse.Namespace
) -> dict[str, Any]:
    """Run the same live streams alone and beside jobs, in turn."""
    settings = settings_frame(EVENTS, options.silence_ms)
    results = {"alone": LoadResult(), "beside": LoadResult()}
    before = after = 0.0

    async def run(name: str, seed: int) -> None:
        found = await run_load(
            tapes,
            server.url,
            streams=options.streams,
            seconds=options.seconds,
            settings=settings,
            seed=seed,
        )
        results[name].score.add(found.score)
        results[name].errors.update(found.errors)

    for turn in range(options.turns):
        await run("alone", options.seed + turn)
        running = []
        for _ in range(options.at_once):
            with speech.open("rb") as file:
                running.append(await submit(jobs, "one", file))
        before += await seconds_done(jobs, running)
        await run("beside", options.seed + turn)
        after += await seconds_done(jobs, running)
        for job in running:
            await jobs.delete(job.id)
    figures = {
        name: report(result, options.silence_ms, options.seconds)["final_ms"]
        for name, result in results.items()
    }
    return {
        "model": options.model,
        "streams": options.streams,
        "jobs": options.at_once,
        "alone_ms": figures["alone"],
        "beside_ms": figures["beside"],
        "p95_ratio": round(figures["beside"]["p95"] / figures["alone"]["p95"], 3),
        "lost": [result.score.lost for result in results.values()],
        "errors": dict(results["alone"].errors + results["beside"].errors),
        "jobs_times_real_time": round((after - before) / (options.turns * options.seconds), 1),
    }


async def seconds_done(jobs: Jobs, running: Sequence[Job]) -> float:
    """Wait until all jobs run, and return how much audio of them is done."""
    found = [await jobs.get(job.id) for job in running]
    while any(job.state is JobState.QUEUED for job in found):
        await asyncio.sleep(0.1)
        found = [await jobs.get(job.id) for job in running]
    assert all(job.state is JobState.TRANSCRIBING for job in found), "A job ended before the streams did."
    return sum(job.seconds_done for job in found)


@contextmanager
def serving(
    folder: Path, options: argparse.Namespace, settings: Mapping[str, str], program: Sequence[str]
) -> Iterator[tuple[RunningServer, Jobs]]:
    """Start a server that works on the jobs in the folder."""
    database = JobDatabase(JobsOptions(folder))  # exists from the start, so that the server works on it
    settings = {**settings, "DATA_DIR": str(folder), "JOBS_AT_ONCE": str(options.at_once)}
    with running_server(None, settings, program) as server:
        yield server, Jobs(database)
    database.close()


async def warm_up(jobs: Jobs, audio: Path) -> None:
    """Transcribe a short file."""
    with audio.open("rb") as file:
        async for _ in jobs.watch((await submit(jobs, "one", file)).id):
            pass


def measure_servers(
    folder: Path, tapes: Sequence[Tape], speech: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """Measure the long file on one server, and the live streams on another."""

    async def file(jobs: Jobs, server: RunningServer) -> dict[str, Any]:
        await warm_up(jobs, options.audio)
        return await measure_file(jobs, speech, server.pid)

    async def live(jobs: Jobs, server: RunningServer) -> dict[str, Any]:
        await warm_up(jobs, options.audio)
        return await measure_live(jobs, speech, tapes, server, options)

    paced = ("-m", "bench.load.fixed_pace_server")
    with serving(folder / "file", options, settings_for(options.pace), paced) as (server, jobs):
        figures = {"file": uvloop.run(file(jobs, server))}
    real = {"ASR_MODEL": options.model, "HOST": "127.0.0.1", "PORT": str(free_port())}
    with serving(folder / "live", options, real, ("main.py",)) as (server, jobs):
        figures["live"] = uvloop.run(live(jobs, server))
    return figures


def missed(figures: Mapping[str, Any]) -> list[str]:
    """Return the targets that are missed."""
    queue, file, live = figures["queue"], figures["file"], figures["live"]
    targets = {
        "submit p95": queue["submit_ms"]["p95"] <= SUBMIT_P95_MS,
        "list p95": queue["list_ms"]["p95"] <= LIST_P95_MS,
        "memory of the queue": queue["memory_growth_mb"] <= QUEUE_MB,
        "memory of the file": file["peak_above_idle_mb"] <= FILE_MB,
        "progress": file["progress_gap_ms"]["max"] <= PROGRESS_SECONDS * 1000,
        "live p95": live["p95_ratio"] <= LIVE_RATIO,
        "nothing lost": not any(live["lost"]),
    }
    return [name for name, is_met in targets.items() if not is_met]


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.load.jobs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--queued", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=60.0, help="length of the long file")
    parser.add_argument("--at-once", type=int, default=4, help="jobs beside the live streams")
    parser.add_argument("--pace", type=float, default=0.02, help="seconds of recognition per second of audio")
    parser.add_argument("--model", default="whisper-tiny.en", help="recognizer of the live streams")
    parser.add_argument("--streams", type=int, default=1, help="live streams")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each live stream")
    parser.add_argument("--turns", type=int, default=2, help="repetitions of the live streams")
    parser.add_argument("--silence-ms", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most-files", type=int, default=60)
    parser.add_argument("--audio", type=Path, default=ROOT / "test.wav")
    fixed: Mapping[str, Any] = {
        "rate": 16_000,
        "chunk_ms": 100,
        "binary": True,
        "tapes": 4,
        "tape_seconds": 60.0,
        "gap_ms": (800.0, 2000.0),
    }
    parser.set_defaults(**fixed)
    return parser.parse_args()


def main() -> int:
    """Run the benchmark and return the exit status."""
    options = arguments()
    raise_file_limit()
    tapes = record_tapes(options)
    head = {
        "machine": machine(),
        "load": psutil.getloadavg()[0],
        "inputs": describe(tapes),
        "settings": settings_of(options),
    }
    print(head)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures["queue"] = uvloop.run(measure_queue(folder / "queue", options.queued))
        show("queue", figures["queue"])
        speech = folder / "speech.wav"
        make_speech(options.audio, options.minutes * 60, speech)
        figures |= measure_servers(folder, tapes, speech, options)
    show("file", figures["file"])
    show("live", figures["live"])
    figures["load_at_the_end"] = psutil.getloadavg()[0]
    figures["missed"] = missed(figures)
    print(json.dumps({"bench": "jobs", **head, **figures}))
    return 1 if figures["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
