"""Work on jobs and submit jobs, in processes that are killed.

They are forked from a process that has imported everything, so that they start fast
(`multiprocessing`, "forkserver").
"""

import asyncio
import io
import logging
import math
import multiprocessing
import os
import select
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from random import Random
from typing import Any, Final

from filelock import FileLock
from sqlalchemy import event

from asr.recognizer import ModelInfo
from jobs.callbacks import CallbackSender
from jobs.errors import JobsUnavailable
from jobs.host import WorkerLease
from jobs.job import Job, JobPriority, JobSource, NewJob
from jobs.options import JobsOptions
from jobs.runner import JobRunner, carry_out
from jobs.service import JobDatabase, Jobs
from jobs.tables import OUTAGES
from jobs.worker import JobWorker
from streaming.model_clients import ModelClients
from streaming.options import SessionOptions
from tests.faults.jobs.sounds import DeadlyRecognizer, sounds
from tests.streaming.fakes import FEW_GUARDS
from tests.streaming.working_models import models

AT_ONCE: Final = 3  # jobs of a worker
LOCK_MS: Final = 500  # for which a connection waits for a locked SQLite, so that short locks are errors
AGAIN_SECONDS: Final = 0.1
DEAD_SECONDS: Final = 8.0  # a living worker may be late for seconds where the machine is busy
OWNERS: Final = 5
MOST_JOBS: Final = 10  # that a submitting process submits before its last seconds begin
MOST_SECONDS: Final = 1.0  # for which it lives then
CALLBACK_DELAYS: Final = (0.2,) * 50  # seconds between the tries to report the end of a job
UNHARMED: Final = 20  # one submitting process in so many ends without being killed


@dataclass(frozen=True, slots=True)
class Place:
    """Say where the jobs are.

    log: pipe for the log; a file would be short of lines while the disk is full
    """

    folder: Path
    database_url: str = ""
    log: Connection | None = None

    @property
    def options(self) -> JobsOptions:
        return JobsOptions(self.folder, self.database_url)


def forking() -> ForkServerContext:
    """Return the context that starts these processes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.jobs.web"])
    return context


def _wait_briefly(connection: Any, record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute(f"PRAGMA busy_timeout={LOCK_MS}")


def open_database(place: Place) -> JobDatabase:
    """Open the database, once it can be used."""
    while True:
        try:
            database = JobDatabase(place.options)
            event.listen(database.engine, "connect", _wait_briefly)
            database.engine.dispose()  # so that all connections are as above
            return database
        except (OSError, *OUTAGES) as error:
            logging.warning("test.database_not_opened error=%s", error)
            time.sleep(AGAIN_SECONDS)


def lease_of(place: Place, name: str) -> WorkerLease:
    """Take the name of a worker, once the process that had it before is gone."""
    if place.database_url:
        return WorkerLease(name)
    folder = place.folder / "workers"
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / f"{name}.lock")
    lock.acquire()
    return WorkerLease(name, lock)


def runner_of(database: JobDatabase, clients: ModelClients, lease: WorkerLease) -> JobRunner:
    @asynccontextmanager
    async def acquire(name: str) -> AsyncIterator[tuple[ModelClients, ModelInfo]]:
        yield clients, ModelInfo("deadly", "deadly", "test", "cpu", "float32")

    return JobRunner(
        database.store,
        database.audio,
        acquire,
        options=lambda: SessionOptions(guards=FEW_GUARDS),
        fetch=None,
        max_seconds=1e6,
        report_seconds=0.2,
        outage_seconds=AGAIN_SECONDS,
        worker=lease.owner,
        lives=lease.lives,
    )


def _log_to(place: Place, name: str) -> None:
    assert place.log is not None
    stream = os.fdopen(place.log.fileno(), "w", closefd=False)
    logging.basicConfig(
        stream=stream, level=logging.INFO, format=f"{name} %(asctime)s %(message)s", force=True
    )


def work(place: Place, name: str) -> None:
    """Be a worker until killed."""
    _log_to(place, name)
    asyncio.run(_work(place, name))


async def _work(place: Place, name: str) -> None:
    database = open_database(place)
    async with models(DeadlyRecognizer()) as clients:
        runner = runner_of(database, clients, lease_of(place, name))

        callbacks = CallbackSender(database.callbacks, private=True, delays=CALLBACK_DELAYS)
        while True:
            worker = JobWorker(
                database.engine,
                database.queue,
                carry_out(runner, callbacks),
                worker_id=name,
                jobs=AT_ONCE,
                poll_seconds=0.05,
                beat_seconds=0.3,
                dead_seconds=DEAD_SECONDS,
            )
            try:
                async with worker:
                    await asyncio.Event().wait()
            except OUTAGES as error:  # it starts again, as that of a server does
                logging.warning("test.worker_not_started error=%s", error)
                await asyncio.sleep(AGAIN_SECONDS)


def submit(place: Place, seed: int, names: list[str], accepted: Connection) -> None:
    """Submit a job for each name of a sound, in processes that are killed at random instructions.

    accepted: receives the number and the id of a job once `Jobs.submit` has returned
    """
    _log_to(place, "submitter")
    chance, files, done = Random(seed), sounds(seed), 0
    while done < len(names):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                asyncio.run(_submit(place, files, names, done, writing))
            finally:
                os._exit(0)
        os.close(writing)
        # Counted in jobs, because on a busy machine few processes live to submit any within seconds.
        first = chance.randrange(MOST_JOBS)
        seconds = chance.uniform(0.0, MOST_SECONDS) if chance.randrange(UNHARMED) else math.inf
        for line in _lines_until_killed(child, reading, first, seconds):
            number, job_id = line.split()
            accepted.send((int(number), job_id))
            done = int(number) + 1
        os.waitpid(child, 0)


def _lines_until_killed(child: int, reading: int, first: int, seconds: float) -> Iterator[str]:
    """Yield what a process writes until it ends; it is killed some seconds after its first lines."""
    end = time.monotonic() + seconds if first == 0 else math.inf
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        text = b""
        while True:
            left = end - time.monotonic()
            if left <= 0:
                os.kill(child, signal.SIGKILL)
                end = left = math.inf
            if not select.select([pipe], [], [], None if left == math.inf else left)[0]:
                continue
            piece = pipe.read(1 << 16)
            if not piece:
                return
            *lines, text = (text + piece).split(b"\n")
            if 0 < first <= len(lines):
                end = time.monotonic() + seconds
            first -= min(first, len(lines))
            yield from (line.decode() for line in lines)


async def _submit(place: Place, files: dict[str, bytes], names: list[str], first: int, accepted: int) -> None:
    jobs = Jobs(open_database(place))
    for number in range(first, len(names)):
        job = await _submit_one(jobs, number, names[number], files[names[number]])
        os.write(accepted, f"{number} {job.id}\n".encode())


async def _submit_one(jobs: Jobs, number: int, name: str, data: bytes) -> Job:
    """Submit a job until it is accepted; once it is, the same key gives the same job again."""
    priority = JobPriority.LOW if number % 10 == 9 else JobPriority.NORMAL
    while True:
        try:
            audio = await jobs.save_audio(io.BytesIO(data))
            source = JobSource(name=name, audio=audio.key, size=audio.size)
            owner = f"owner-{number % OWNERS}"
            new = NewJob(owner, source, priority=priority, idempotency_key=str(number))
            return (await jobs.submit(new))[0]
        except (OSError, JobsUnavailable) as error:
            logging.warning("test.not_accepted number=%d error=%s", number, error)
            await asyncio.sleep(AGAIN_SECONDS)
