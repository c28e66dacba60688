"""Nothing of a job is left after it was deleted or has expired: no audio, no text, no options."""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from asr.recognizer import Hypothesis, RecognitionRequest, TranscriptionOptions
from jobs.errors import JobNotFound, JobsUnavailable
from jobs.job import JobOptions, JobState
from jobs.options import JobsOptions
from jobs.service import JobDatabase, Jobs
from tests.jobs.working import TALK, ended, uploaded, working
from tests.server.asgi_calls import wav
from tests.streaming.working_models import Recognizer
from tests.waiting import until

TEXT, PROMPT, METADATA, CALLBACK = "zanzibarquartz", "wombatprompt", "ocelotmeta", "quokkahost.test"
AUDIO = wav(TALK) + b"axolotlbytes"  # bytes after the sound, which decoders skip
OPTIONS = JobOptions(asr=TranscriptionOptions(prompt=PROMPT), metadata=METADATA)
MARKS = (TEXT, PROMPT, METADATA, "axolotlbytes", "talk.wav")


class Telling(Recognizer):
    """Say a word that is nowhere else."""

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        return [replace(found, text=TEXT) for found in super().transcribe(requests)]


def in_files(folder: Path) -> set[str]:
    """Return the marks that any file below the folder contains."""
    held = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return {mark for mark in MARKS if any(mark.encode() in content for content in held)}


def in_tables(database: JobDatabase) -> set[str]:
    """Return the marks that any row of any table contains, those of DBOS included."""
    inspector = sa.inspect(database.engine)
    tables = [
        f'"{schema}"."{table}"'
        for schema in inspector.get_schema_names()
        if schema not in ("information_schema", "pg_catalog")
        for table in inspector.get_table_names(schema)
    ]
    with database.engine.connect() as connection:
        rows = [
            str(tuple(row))
            for table in tables
            for row in connection.execute(sa.text(f"SELECT * FROM {table}"))
        ]
    return {mark for mark in MARKS if any(mark in row for row in rows)}


def left(options: JobsOptions, database: JobDatabase) -> set[str]:
    return in_files(options.folder) | in_tables(database)


async def test_deleted_job_leaves_no_byte(options: JobsOptions, database: JobDatabase) -> None:
    async with working(database, Telling()) as jobs:
        kept = await uploaded(jobs, wav(TALK))
        job = await uploaded(jobs, AUDIO, OPTIONS)
        for each in (kept, job):
            assert (await ended(jobs, each)).state is JobState.SUCCEEDED
        assert left(options, database) == set(MARKS)
        await jobs.delete(kept.id)
        await jobs.delete(job.id)
        assert left(options, database) == set()


async def test_expired_job_leaves_no_byte(options: JobsOptions) -> None:
    with closing(JobDatabase(replace(options, retention_seconds=0.5))) as database:
        async with working(database, Telling()) as jobs:
            job = await uploaded(jobs, AUDIO, OPTIONS)
            assert (await ended(jobs, job)).state is JobState.SUCCEEDED
            assert left(options, database) == set(MARKS)
            cleaning = asyncio.create_task(jobs.keep_clean(0.05))
            await until(lambda: left(options, database) == set())
            with pytest.raises(JobNotFound):
                await jobs.get(job.id)
            cleaning.cancel()


async def test_cancelled_job_leaves_no_byte(options: JobsOptions, database: JobDatabase) -> None:
    async with working(database, Telling()) as jobs:
        job = await uploaded(jobs, AUDIO, OPTIONS)
        await jobs.delete(job.id)
        assert left(options, database) == set()


async def test_job_with_a_pending_callback_leaves_only_what_that_needs(options: JobsOptions) -> None:
    with closing(JobDatabase(replace(options, retention_seconds=0.01))) as database:
        async with working(database, Telling()) as jobs:
            # The name does not resolve, so the callback stays pending.
            job = await uploaded(jobs, AUDIO, replace(OPTIONS, callback=f"http://{CALLBACK}/"))
            await until(lambda: database.store.get(job.id).state is JobState.SUCCEEDED)
            cleaning = asyncio.create_task(jobs.keep_clean(0.05))
            await until(lambda: left(options, database) <= {METADATA})
            with database.engine.connect() as connection:  # A track may have a title.
                assert connection.scalar(sa.text("SELECT tracks FROM stt_jobs")) is None
            with pytest.raises(JobNotFound):
                await jobs.get(job.id)
            cleaning.cancel()


class Interrupted(JobDatabase):
    """Fail to empty the log of the database once."""

    has_failed = False

    def forget(self) -> bool:
        if not self.has_failed:
            self.has_failed = True
            raise sa.exc.OperationalError("PRAGMA", {}, Exception("disk I/O error"))
        return super().forget()


async def test_log_that_could_not_be_emptied_is_emptied_later(tmp_path: Path) -> None:
    with closing(Interrupted(JobsOptions(tmp_path))) as database:
        jobs = Jobs(database)
        job = await uploaded(jobs, AUDIO, OPTIONS)
        with pytest.raises(JobsUnavailable):
            await jobs.delete(job.id)
        await asyncio.to_thread(jobs.purge)
        assert left(JobsOptions(tmp_path), database) == set()


async def test_log_is_emptied_after_a_process_died(tmp_path: Path) -> None:
    with closing(JobDatabase(JobsOptions(tmp_path))) as database:
        job = await uploaded(Jobs(database), AUDIO, OPTIONS)
        removed = database.store.delete(job.id)  # Here the process dies.
        for key in removed.audio:
            database.audio.delete(key)
        await asyncio.to_thread(Jobs(database).purge)
        assert left(JobsOptions(tmp_path), database) == set()
