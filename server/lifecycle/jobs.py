"""Build what runs jobs from the settings, for a server and for a worker process."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from asr.recognizer import ModelInfo
from engine.engine import Engine
from jobs.host import JobsHost
from server.settings import Settings
from streaming.model_clients import ModelClients

if TYPE_CHECKING:
    from jobs.runner import JobRunner
    from jobs.service import JobDatabase


def jobs_host(
    settings: Settings, engine: Engine, on_audio: Callable[[str, float], None] = lambda owner, seconds: None
) -> JobsHost | None:
    """Return the jobs of a process; None if the settings allow none.

    on_audio: called with the owner and the seconds of audio that were transcribed
    """
    options = settings.jobs_options()
    if options is None:
        return None

    @asynccontextmanager
    async def acquire(asked: str) -> AsyncIterator[tuple[ModelClients, ModelInfo]]:
        async with engine.acquire(engine.recognizers.resolve(asked)) as acquired:
            yield acquired

    def make_runner(database: "JobDatabase") -> "JobRunner":
        # httpx and SQLAlchemy are imported on first use of jobs.
        from jobs.fetching import Fetcher
        from jobs.runner import JobRunner

        fetch = None
        if settings.fetch_urls:
            fetch = Fetcher(
                max_bytes=settings.max_upload_bytes,
                private=settings.fetch_private,
                video_seconds=settings.max_file_seconds if settings.fetch_video_sites else None,
            )

        return JobRunner(
            database.store,
            database.audio,
            acquire,
            options=lambda: settings.session_options().for_file(),
            fetch=fetch,
            max_seconds=settings.max_file_seconds,
            on_audio=on_audio,
        )

    return JobsHost(options, make_runner)
