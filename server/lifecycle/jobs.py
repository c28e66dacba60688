"""Build what runs jobs from the settings, for a server and for a worker process."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from asr.recognizer import ModelInfo
from engine.engine import Engine
from jobs.host import JobsHost, WorkerLease
from server.settings import Settings
from streaming.model_clients import ModelClients

if TYPE_CHECKING:
    from jobs.callbacks import CallbackFormat
    from jobs.service import JobDatabase
    from jobs.worker import CarryOut

PROBLEM: Final = "jobs"


def jobs_host(
    settings: Settings,
    engine: Engine,
    on_audio: Callable[[str, float], None] = lambda owner, seconds: None,
    callback_formats: Callable[[], Mapping[str, "CallbackFormat"]] = dict,
) -> JobsHost | None:
    """Return the jobs of a process; None if the settings allow none.

    on_audio: called with the owner and the seconds of audio that were transcribed
    callback_formats: returns how callbacks look, by the name of the protocol that submitted the job; without
        an entry they have our own format. Called when the first job comes
    """
    options = settings.jobs_options()
    if options is None:
        return None

    @asynccontextmanager
    async def acquire(asked: str) -> AsyncIterator[tuple[ModelClients, ModelInfo]]:
        async with engine.acquire(engine.recognizers.resolve(asked)) as acquired:
            yield acquired

    def make_work(database: "JobDatabase", lease: WorkerLease) -> "CarryOut":
        # httpx and SQLAlchemy are imported on first use of jobs.
        from jobs.callbacks import CallbackSender, secret_bytes
        from jobs.fetching import Fetcher
        from jobs.runner import JobRunner, carry_out
        from postprocessing.summary import Summarizer

        fetch = None
        if settings.fetch_urls:
            fetch = Fetcher(
                max_bytes=settings.max_upload_bytes,
                private=settings.fetch_private,
                video_seconds=settings.max_file_seconds if settings.fetch_video_sites else None,
            )

        runner = JobRunner(
            database.store,
            database.audio,
            acquire,
            options=lambda: settings.session_options().for_file(),
            fetch=fetch,
            max_seconds=settings.max_file_seconds,
            summarizer=Summarizer(settings.summary_endpoint()),
            on_audio=on_audio,
            worker=lease.owner,
            lives=lease.lives,
        )
        secret = settings.job_callback_secret.get_secret_value()
        callbacks = CallbackSender(
            database.callbacks,
            callback_formats(),
            secret=secret_bytes(secret) if secret else None,
            private=settings.fetch_private,
        )
        return carry_out(runner, callbacks)

    def report(why: str | None) -> None:
        if why is None:
            engine.health.resolve(PROBLEM)
        else:
            engine.health.report(PROBLEM, why, critical=False)

    return JobsHost(options, make_work, report)
