"""Run jobs with a worker of the test's own, on models that do real work."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from asr.recognizer import ModelInfo
from jobs.callbacks import CallbackSender
from jobs.fetching import Fetch
from jobs.host import WorkerLease
from jobs.job import Job, JobOptions, JobPriority, JobSource, NewJob
from jobs.runner import Acquire, JobRunner, Writer, carry_out
from jobs.service import JobDatabase, Jobs
from jobs.store import JobStore
from jobs.worker import JobWorker
from streaming.model_clients import ModelClients, SpeakerClient
from streaming.options import SessionOptions
from tests.streaming.fakes import FEW_GUARDS, sound
from tests.streaming.working_models import Recognizer, models

SECOND = 16_000
TALK = sound((False, SECOND), (True, SECOND), (False, SECOND), (True, SECOND), (False, SECOND))
INFO = ModelInfo("little", "little", "test", "cpu", "float32")


def acquiring(clients: ModelClients) -> Acquire:
    @asynccontextmanager
    async def acquire(name: str) -> AsyncIterator[tuple[ModelClients, ModelInfo]]:
        yield clients, INFO

    return acquire


def runner_of(
    database: JobDatabase,
    clients: ModelClients,
    fetch: Fetch | None = None,
    max_seconds: float = 1e6,
    store: JobStore | None = None,
    lease: WorkerLease | None = None,
    revoked_seconds: float = 5.0,
    summarizer: Writer | None = None,
) -> JobRunner:
    return JobRunner(
        store or database.store,
        database.audio,
        acquiring(clients),
        options=lambda: SessionOptions(guards=FEW_GUARDS),
        fetch=fetch,
        max_seconds=max_seconds,
        summarizer=summarizer,
        retry_seconds=(0.01, 0.01),
        outage_seconds=0.05,
        report_seconds=0.02,
        revoked_seconds=revoked_seconds,
        worker="" if lease is None else lease.owner,
        lives=(lambda worker: False) if lease is None else lease.lives,
    )


def worker_of(
    database: JobDatabase, runner: JobRunner, callbacks: CallbackSender | None = None, jobs_at_once: int = 2
) -> JobWorker:
    return JobWorker(
        database.engine,
        database.queue,
        carry_out(runner, callbacks or CallbackSender(database.callbacks)),
        worker_id="one",
        jobs=jobs_at_once,
        poll_seconds=0.05,
        beat_seconds=0.1,
    )


@asynccontextmanager
async def working(
    database: JobDatabase,
    recognizer: Recognizer | None = None,
    fetch: Fetch | None = None,
    callbacks: CallbackSender | None = None,
    speakers: SpeakerClient | None = None,
    max_seconds: float = 1e6,
    summarizer: Writer | None = None,
    jobs_at_once: int = 2,
) -> AsyncIterator[Jobs]:
    """Run a worker beside the jobs."""
    async with (
        models(recognizer) as clients,
        worker_of(
            database,
            runner_of(
                database, replace(clients, speakers=speakers), fetch, max_seconds, summarizer=summarizer
            ),
            callbacks,
            jobs_at_once,
        ),
    ):
        yield Jobs(database)


async def uploaded(
    jobs: Jobs,
    data: bytes,
    options: JobOptions | None = None,
    owner: str = "ann",
    priority: JobPriority = JobPriority.NORMAL,
) -> Job:
    audio = await jobs.save_audio(io.BytesIO(data))
    source = JobSource(name="talk.wav", audio=audio.key, size=audio.size)
    job, _ = await jobs.submit(NewJob(owner, source, options or JobOptions(), priority))
    return job


async def ended(jobs: Jobs, job: Job) -> Job:
    """Wait until a job has ended."""
    last = job
    async for transcript in jobs.watch(job.id):
        last = transcript.job
    return last
