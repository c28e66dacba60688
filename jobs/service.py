"""Offer jobs to the wire protocols: submit, get, list, cancel, watch, delete."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection
from dataclasses import dataclass
from typing import IO, Final, ParamSpec, TypeVar

import sqlalchemy as sa

from jobs.audio_store import AnyAudioStore, AudioStore, StoredAudio
from jobs.callback_store import CallbackStore
from jobs.errors import IdempotencyConflict, JobNotFound, JobsUnavailable, StorageFull, TooManyJobs
from jobs.job import Delivery, Job, JobState, JobTranscript, NewJob
from jobs.options import JobsOptions
from jobs.store import JobStore, Removed
from jobs.tables import create_tables, open_postgres, open_sqlite
from jobs.work_queue import WorkQueue, create_queue_tables
from streaming.threads import run_in_thread_to_completion

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

log = logging.getLogger(__name__)

WATCH_SECONDS: Final = 0.5  # between two looks at the jobs that are watched
PURGE_SECONDS: Final = 10.0
SWEEP_PURGES: Final = 360  # purges between two searches for audio that a crash left


class JobDatabase:
    """Hold the open database of jobs, and what is built on it."""

    def __init__(self, options: JobsOptions) -> None:
        """Open the database, and create its tables. Blocks. Raises OSError and SQLAlchemyError."""
        if options.database_url:
            self.engine = open_postgres(options.database_url)
        else:
            self.engine = open_sqlite(options.database_file)
        create_tables(self.engine)
        create_queue_tables(self.engine)
        self.queue = WorkQueue(self.engine)
        self.store = JobStore(
            self.engine,
            self.queue,
            retention_seconds=options.retention_seconds,
            max_unfinished=options.max_unfinished,
            max_audio_bytes=options.max_audio_bytes,
        )
        self.callbacks = CallbackStore(self.engine, self.queue)
        self.audio: AnyAudioStore = _audio_store(options)

    def forget(self) -> bool:
        """Remove what was deleted from the log of SQLite; False if it is in use, and has to be tried again.

        SQLite overwrites what is deleted in its file, but the log (WAL) may still have it. Postgres does both
        in its own time.
        """
        if self.engine.dialect.name != "sqlite":
            return True
        with self.engine.connect() as connection:
            busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar()
        return not busy

    def close(self) -> None:
        """Close the database."""
        self.queue.close()
        self.engine.dispose()


def _audio_store(options: JobsOptions) -> AnyAudioStore:
    if not options.audio_url:
        return AudioStore(options.folder / "audio")
    from jobs.s3_audio_store import S3AudioStore  # boto3 is optional.

    return S3AudioStore(options.audio_url)


async def _in_thread(
    work: Callable[Arguments, Result], /, *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """Run work on the database in a thread, to its end. Raises JobsUnavailable, and what the work raises."""
    try:
        return await run_in_thread_to_completion(work, *args, **kwargs)
    except sa.exc.SQLAlchemyError as error:
        raise JobsUnavailable(f"The database of jobs cannot be used: {error}") from error


class Jobs:
    """Submit, read, cancel, watch and delete jobs. `owner` is the name of the caller's API key.

    Every method raises JobNotFound for a job of another owner, as if it did not exist, and JobsUnavailable if
    the database cannot be used.
    """

    def __init__(self, database: JobDatabase) -> None:
        self._database = database
        self._store = database.store
        self._watcher = JobWatcher(database.store)
        self._has_to_forget = True  # A process that died may have left deleted text in the log.

    async def save_audio(self, file: IO[bytes]) -> StoredAudio:
        """Store audio for a job, from the file's position on. Raises OSError."""
        return await _in_thread(self._database.audio.save, file)

    async def submit(self, new: NewJob) -> tuple[Job, bool]:
        """Accept a job, and return it and whether it is new; it is on the disk when this returns.

        The audio of a job that is not accepted, or not new, is deleted.

        Raises IdempotencyConflict, TooManyJobs and StorageFull.
        """
        try:
            job, is_new = await _in_thread(self._store.submit, new)
        except (IdempotencyConflict, TooManyJobs, StorageFull):
            await self._drop_audio(new)
            raise
        # If the database failed, the job may have been accepted nevertheless: `keep_clean` finds audio that
        # no job has.
        if not is_new and job.source.audio != new.source.audio:
            await self._drop_audio(new)
        if is_new:
            source = "upload" if job.source.url is None else "url"
            log.info("job.accepted job=%s owner=%s source=%s", job.id, job.owner, source)
        return job, is_new

    async def _drop_audio(self, new: NewJob) -> None:
        if new.source.audio is not None:
            await _in_thread(self._database.audio.delete, new.source.audio)

    async def get(self, job_id: str, owner: str | None = None) -> Job:
        """Return a job; owner: None for a job of anyone. Raises JobNotFound."""
        return await _in_thread(self._store.get, job_id, owner)

    async def find(
        self, owner: str, *, limit: int, after: str | None = None, states: Collection[JobState] = ()
    ) -> list[Job]:
        """Return jobs of an owner, the newest first (see `JobStore.find`). Raises JobNotFound."""
        return await _in_thread(self._store.find, owner, limit=limit, after=after, states=states)

    async def audio_seconds(self, owner: str, since: float) -> float:
        """Return the seconds of audio that jobs of an owner used (see `JobStore.audio_seconds`)."""
        return await _in_thread(self._store.audio_seconds, owner, since)

    async def cancel(self, job_id: str, owner: str | None = None) -> Job:
        """Cancel a job unless it has ended, and return it. A worker stops within 2 s. Raises JobNotFound."""
        job = await _in_thread(self._cancel, job_id, owner)
        log.info("job.cancelled job=%s state=%s", job_id, job.state)
        return job

    async def delete(self, job_id: str, owner: str | None = None) -> None:
        """Delete a job with its audio and its text, and cancel it before. Raises JobNotFound."""
        await _in_thread(self._delete, job_id, owner)
        log.info("job.deleted job=%s", job_id)

    async def transcript(self, job_id: str, owner: str | None = None) -> JobTranscript:
        """Return the text of a job as far as it is known. Raises JobNotFound."""
        job = await self.get(job_id, owner)
        found = await _in_thread(self._store.parts, job_id)
        return JobTranscript.of_parts(job, found)

    async def deliveries(self, job_id: str, owner: str | None = None) -> list[Delivery]:
        """Return the tries to report the end of a job, in order. Raises JobNotFound."""
        await self.get(job_id, owner)
        return await _in_thread(self._database.callbacks.deliveries, job_id)

    async def watch(self, job_id: str, owner: str | None = None) -> AsyncGenerator[JobTranscript, None]:
        """Yield the job and the segments that are new, now and after each change, until it has ended.

        Raises JobNotFound, also if the job is deleted meanwhile.
        """
        job, seen = await self.get(job_id, owner), 0
        while True:
            found = await _in_thread(self._store.parts, job_id, seen)
            seen += len(found)
            yield JobTranscript.of_parts(job, found)
            if job.state.is_final:
                return
            latest = await self._watcher.change(job)
            if latest is None:
                raise JobNotFound(job_id)
            job = latest

    async def keep_clean(self, seconds: float = PURGE_SECONDS) -> None:
        """Delete jobs that have expired, until cancelled."""
        purges = 0
        while True:
            try:
                await run_in_thread_to_completion(self.purge)
                if purges % SWEEP_PURGES == 0:
                    await run_in_thread_to_completion(self._database.audio.sweep, self._store.is_audio_used)
            except (OSError, sa.exc.SQLAlchemyError) as error:  # The disk or the database may come back.
                log.warning("jobs.purge_failed error=%s", error)
            purges += 1
            await asyncio.sleep(seconds)

    def purge(self) -> None:
        """Delete all jobs that have expired. Blocks."""
        while (removed := self._store.purge()).count:
            self._remove(removed)
            log.info("jobs.expired count=%d", removed.count)
        self._forget()

    def _cancel(self, job_id: str, owner: str | None) -> Job:
        job = self._store.cancel(job_id, owner)
        self._database.queue.cancel(job_id)
        return job

    def _delete(self, job_id: str, owner: str | None) -> None:
        self._cancel(job_id, owner)
        self._remove(self._store.delete(job_id))
        self._forget()

    def _remove(self, removed: Removed) -> None:
        self._has_to_forget = True
        self._database.queue.delete(removed.jobs)
        for key in removed.audio:  # at last: what an error leaves is swept later
            self._database.audio.delete(key)

    def _forget(self) -> None:
        """Remove what was deleted from the database's log; the next purge does if it is in use now."""
        if not self._has_to_forget:
            return
        self._has_to_forget = False  # before, so that a job which is deleted meanwhile is not missed
        is_forgotten = False
        try:
            is_forgotten = self._database.forget()
        finally:
            if not is_forgotten:
                self._has_to_forget = True


@dataclass(eq=False, slots=True)
class _Waiter:
    job: Job
    change: asyncio.Future[Job | None]


class JobWatcher:
    """Look at all watched jobs in one query, for as long as there are any."""

    def __init__(self, store: JobStore, seconds: float = WATCH_SECONDS) -> None:
        self._store = store
        self._seconds = seconds
        self._waiters: set[_Waiter] = set()
        self._looking: asyncio.Task[None] | None = None

    async def change(self, job: Job) -> Job | None:
        """Wait until a job has changed, and return it; None if it was deleted. Raises JobsUnavailable."""
        waiter = _Waiter(job, asyncio.get_running_loop().create_future())
        self._waiters.add(waiter)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="watch jobs")
        try:
            return await waiter.change
        finally:
            self._waiters.discard(waiter)

    async def _look(self) -> None:
        while self._waiters:
            await asyncio.sleep(self._seconds)
            waiters = [waiter for waiter in self._waiters if not waiter.change.done()]
            try:
                found: dict[str, Job] = await asyncio.to_thread(
                    self._store.read, {waiter.job.id for waiter in waiters}
                )
            except sa.exc.SQLAlchemyError as error:
                unavailable = JobsUnavailable(f"The database of jobs cannot be used: {error}")
                for waiter in waiters:
                    if not waiter.change.done():
                        waiter.change.set_exception(unavailable)
                continue
            for waiter in waiters:
                job = found.get(waiter.job.id)
                if not waiter.change.done() and (job is None or job.revision != waiter.job.revision):
                    waiter.change.set_result(job)
