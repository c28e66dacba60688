"""Read and write the rows of jobs. Each method is one transaction, blocks, and is thread-safe.

A run of a job holds a lease. Every write of a run names it, so that a worker that was taken for dead and
still runs can change nothing.
"""

import secrets
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from jobs.errors import IdempotencyConflict, JobNotFound, StorageFull, TooManyJobs
from jobs.job import (
    FINAL_STATES,
    MAX_ATTEMPTS,
    CallbackState,
    Job,
    JobOptions,
    JobPriority,
    JobProblem,
    JobSource,
    JobState,
    JobStep,
    NewJob,
    PartText,
    new_job_id,
)
from jobs.serialization import CHAPTERS, FILTERED, OPTIONS, PROBLEM, SEGMENTS, SUMMARY, TRACKS, WARNINGS
from jobs.tables import jobs, parts
from jobs.work_queue import MAX_ROUND, Work, WorkQueue
from transcripts.transcript import FilteredText, TranscriptSegment

UNFINISHED: Final = (JobState.QUEUED, JobState.FETCHING, JobState.TRANSCRIBING)
PURGE_AT_ONCE: Final = 100  # jobs
CALLBACK_SECONDS: Final = 90_000.0  # after its end, for which a job waits for its callback at most
NOT_STRIPPED: Final = sa.not_(jobs.c.stripped)


class RunLost(Exception):
    """The run may not write any more: the job was cancelled, or given to another worker."""


@dataclass(frozen=True, slots=True)
class Run:
    """Hold a run of a job: the job as it was at its beginning, and the lease of the run.

    parts: number of parts that earlier runs completed
    position: sample of the file at which the next part begins
    """

    job: Job
    lease: str
    parts: int
    position: int


@dataclass(frozen=True, slots=True)
class Removed:
    """Hold what belongs to deleted jobs and stands outside of their rows.

    count: number of jobs that lost something
    """

    jobs: tuple[str, ...]
    audio: tuple[str, ...]
    count: int


class JobStore:
    """Store jobs.

    retention_seconds: time after their end for which jobs are kept
    max_unfinished: most jobs that may be unfinished at once; one owner may have half of them
    max_audio_bytes: most bytes of audio of all jobs, above which uploads are refused
    now: returns the time in seconds since the epoch
    """

    def __init__(
        self,
        engine: sa.Engine,
        queue: WorkQueue,
        *,
        retention_seconds: float,
        max_unfinished: int,
        max_audio_bytes: int = 1 << 62,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._queue = queue
        self._retention_seconds = retention_seconds
        self._max_unfinished = max_unfinished
        self._max_audio_bytes = max_audio_bytes
        self._now = now

    def submit(self, new: NewJob) -> tuple[Job, bool]:
        """Store and queue a job in one transaction; return it, and whether it is new.

        It is not new if the owner has used its idempotency key before.

        Keys share the workers job by job: each queued job of an owner stands one round behind the owner's one
        before, and the earliest round runs first. So a job of an owner without others waits for the present
        round only, however many jobs others have queued.

        Raises IdempotencyConflict, TooManyJobs and StorageFull.
        """
        with suppress(IntegrityError):  # a concurrent submission with the same idempotency key came first
            return self._submit(new)
        return self._submit(new)

    def _submit(self, new: NewJob) -> tuple[Job, bool]:
        with self._engine.begin() as connection:
            before = self._earlier(connection, new)
            if before is not None:
                return before, False
            queued = sa.and_(jobs.c.state == JobState.QUEUED, jobs.c.priority == new.priority)
            self._check_bounds(connection, new)
            present = connection.scalar(sa.select(sa.func.min(jobs.c.round)).where(queued)) or 0
            last = connection.scalar(
                sa.select(sa.func.max(jobs.c.round)).where(queued, jobs.c.owner == new.owner)
            )
            order = present if last is None else max(present, last + 1)
            job_id = new_job_id()
            values = {
                "id": job_id,
                "owner": new.owner,
                "protocol": new.protocol,
                "state": JobState.QUEUED,
                "priority": new.priority,
                "round": order,
                "created": self._now(),
                "url": new.source.url,
                "name": new.source.name,
                "audio": new.source.audio,
                "size": new.source.size,
                "options": OPTIONS.dump_json(new.options).decode(),
                "idempotency_key": new.idempotency_key,
                "fingerprint": new.fingerprint,
                "stripped": False,
                "bytes_done": 0,
                "seconds_done": 0.0,
                "attempts": 0,
                "warnings": "[]",
                "revision": 0,
            }
            row = connection.execute(sa.insert(jobs).values(values).returning(jobs)).one()
            work = Work.TRANSCRIBE if new.source.audio is not None else Work.FETCH
            self._queue.add(connection, job_id, work, priority=_priority(new.priority, order))
            return job_of(row), True

    def _check_bounds(self, connection: sa.Connection, new: NewJob) -> None:
        """Raise TooManyJobs or StorageFull if another job is one too many."""
        unfinished = sa.select(sa.func.count()).where(jobs.c.state.in_(UNFINISHED))
        if (connection.scalar(unfinished) or 0) >= self._max_unfinished:
            raise TooManyJobs(f"{self._max_unfinished} jobs are unfinished, which is the limit.")
        share = (self._max_unfinished + 1) // 2
        if new.owner and (connection.scalar(unfinished.where(jobs.c.owner == new.owner)) or 0) >= share:
            raise TooManyJobs(f"{share} jobs of this key are unfinished, which is its limit.")
        if new.source.size is not None:
            self._check_space(connection, new.source.size)

    def _check_space(self, connection: sa.Connection, size: int) -> None:
        stored = connection.scalar(sa.select(sa.func.coalesce(sa.func.sum(jobs.c.size), 0))) or 0
        if stored + size > self._max_audio_bytes:
            raise StorageFull(f"The audio of all jobs may have {self._max_audio_bytes} bytes.")

    def check_space(self, size: int) -> None:
        """Raise StorageFull if there is no space for so many bytes of audio."""
        with self._engine.connect() as connection:
            self._check_space(connection, size)

    def _earlier(self, connection: sa.Connection, new: NewJob) -> Job | None:
        """Return the job that the owner submitted with the same idempotency key."""
        if new.idempotency_key is None:
            return None
        where = (jobs.c.owner == new.owner, jobs.c.idempotency_key == new.idempotency_key)
        row = connection.execute(sa.select(jobs).where(*where)).one_or_none()
        if row is None:
            return None
        if row.fingerprint != new.fingerprint:
            raise IdempotencyConflict
        return job_of(row)

    def get(self, job_id: str, owner: str | None = None) -> Job:
        """Return a job with its position in the queue.

        owner: the job must be theirs; None for any

        Raises JobNotFound.
        """
        with self._engine.connect() as connection:
            mine = self._row(connection, job_id, owner)
            job = job_of(mine)
            if job.state is not JobState.QUEUED:
                return job
            earlier = sa.or_(
                jobs.c.round < mine.round,
                sa.and_(jobs.c.round == mine.round, jobs.c.created < mine.created),
            )
            ahead = sa.and_(jobs.c.priority == mine.priority, earlier)
            if mine.priority == JobPriority.LOW:
                ahead = sa.or_(ahead, jobs.c.priority == JobPriority.NORMAL)
            count = sa.select(sa.func.count()).where(jobs.c.state == JobState.QUEUED, ahead)
            return replace(job, position=connection.scalar(count) or 0)

    def find(
        self,
        owner: str,
        *,
        limit: int,
        after: str | None = None,
        states: Collection[JobState] = (),
    ) -> list[Job]:
        """Return jobs of an owner, the newest first.

        after: id of the last job of the page before; None for the first page
        states: only jobs in these states; empty for all

        Raises JobNotFound if `after` is not a job of the owner.
        """
        query = sa.select(jobs).where(jobs.c.owner == owner, NOT_STRIPPED)
        if states:
            query = query.where(jobs.c.state.in_(sorted(states)))
        with self._engine.connect() as connection:
            if after is not None:
                last = self._row(connection, after, owner)
                place = sa.tuple_(jobs.c.created, jobs.c.id)
                query = query.where(place < sa.tuple_(sa.literal(last.created), sa.literal(last.id)))
            query = query.order_by(jobs.c.created.desc(), jobs.c.id.desc()).limit(limit)
            return [job_of(row) for row in connection.execute(query)]

    def read(self, job_ids: Collection[str]) -> dict[str, Job]:
        """Return those of the jobs that exist, by id, without their positions."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(jobs).where(jobs.c.id.in_(job_ids), NOT_STRIPPED)).all()
        return {row.id: job_of(row) for row in rows}

    def parts(self, job_id: str, from_part: int = 0) -> list[PartText]:
        """Return the text of each part of a job from a part on."""
        with self._engine.connect() as connection:
            return read_parts(connection, job_id, from_part)

    def audio_seconds(self, owner: str, since: float) -> float:
        """Return the seconds of audio that jobs of an owner transcribed which were not finished at a time.

        Each channel that is transcribed apart counts.
        """
        used = sa.func.sum(jobs.c.seconds_done * sa.func.coalesce(jobs.c.channels, 1))
        query = sa.select(sa.func.coalesce(used, 0.0)).where(
            jobs.c.owner == owner, sa.or_(jobs.c.finished.is_(None), jobs.c.finished > since)
        )
        with self._engine.connect() as connection:
            return float(connection.scalar(query) or 0.0)

    # Runs

    def begin(self, job_id: str, state: JobState, lease: str | None = None, worker: str = "") -> Run | None:
        """Begin a run of a job; None if there is nothing to run any more.

        lease: of the run, if this is called again because it is not known whether the first call committed
        worker: name of the worker that runs it

        A job whose runs ended MAX_ATTEMPTS times with their worker, without completing a part, fails here.
        """
        lease = lease or secrets.token_hex(8)
        with self._engine.begin() as connection:
            found = sa.select(jobs).where(jobs.c.id == job_id).with_for_update()
            row = connection.execute(found).one_or_none()
            if row is None or JobState(row.state).is_final:
                return None
            if row.lease == lease:
                return Run(job_of(row), lease, *self._completed(connection, job_id))
            if row.attempts >= MAX_ATTEMPTS:
                problem = JobProblem("worker_died", f"The worker died {row.attempts} times on this job.")
                self._end(connection, job_of(row), JobState.FAILED, problem)
                return None
            job = self._update(
                connection,
                job_id,
                state=state,
                lease=lease,
                worker=worker,
                step=None,
                attempts=row.attempts + 1,
                started=row.started or self._now(),
            )
            return Run(job, lease, *self._completed(connection, job_id))

    def revoke(self, job_id: str) -> None:
        """Take the lease from the run of a job whose attempts are used up.

        If its worker is alive after all, the run is lost, and `outlived` counts it as no attempt.
        """
        where = (jobs.c.id == job_id, jobs.c.state.notin_(FINAL_STATES), jobs.c.attempts >= MAX_ATTEMPTS)
        with self._engine.begin() as connection:
            connection.execute(sa.update(jobs).where(*where).values(lease=None))

    def outlived(self, run: Run) -> None:
        """Count a run that lost its lease to another one as no attempt, since its worker has not died."""
        where = (jobs.c.id == run.job.id, jobs.c.state.notin_(FINAL_STATES), jobs.c.attempts > 0)
        with self._engine.begin() as connection:
            connection.execute(sa.update(jobs).where(*where).values(attempts=jobs.c.attempts - 1))

    def report(self, run: Run, **changes: Any) -> None:
        """Store changes of columns that a client can see. Raises RunLost."""
        with self._engine.begin() as connection:
            self._write(connection, run, **changes)

    def check(self, run: Run) -> None:
        """Raise RunLost if the run may not write any more."""
        query = sa.select(jobs.c.lease).where(jobs.c.id == run.job.id, jobs.c.state.notin_(FINAL_STATES))
        with self._engine.connect() as connection:
            if connection.scalar(query) != run.lease:
                raise RunLost

    def again(self, run: Run) -> Run:
        """Return the run with what it has completed so far. Raises RunLost if the job was deleted."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(jobs).where(jobs.c.id == run.job.id)).one_or_none()
            if row is None:
                raise RunLost
            return Run(job_of(row), run.lease, *self._completed(connection, run.job.id))

    def fetched(self, run: Run, source: JobSource) -> None:
        """Store where the downloaded audio is, and queue its transcription. Raises RunLost."""
        with self._engine.begin() as connection:
            order = self._write(
                connection,
                run,
                state=JobState.QUEUED,
                lease=None,
                attempts=0,
                audio=source.audio,
                size=source.size,
                bytes_done=source.size,
                bytes_total=source.size,
                name=source.name,
            )
            priority = _priority(run.job.priority, order)
            self._queue.add(connection, run.job.id, Work.TRANSCRIBE, priority=priority)

    def complete_part(
        self,
        run: Run,
        number: int,
        end: int,
        segments: Sequence[TranscriptSegment],
        seconds_done: float,
        filtered: Sequence[FilteredText] = (),
    ) -> None:
        """Store a part of the text; a later run begins after it.

        end: sample of the file at which the part ends

        Raises RunLost.
        """
        row = {
            "job": run.job.id,
            "number": number,
            "end": end,
            "segments": SEGMENTS.dump_json(tuple(segments)).decode(),
            "filtered": FILTERED.dump_json(tuple(filtered)).decode(),
        }
        with self._engine.begin() as connection:
            self._write(connection, run, attempts=0, seconds_done=seconds_done)
            connection.execute(sa.insert(parts).values(row))

    def release(self, run: Run) -> None:
        """Give a job back that a worker which stops was running. Raises RunLost."""
        with self._engine.begin() as connection:
            attempts = max(0, run.job.attempts - 1)
            self._write(connection, run, state=JobState.QUEUED, lease=None, step=None, attempts=attempts)

    def succeed(
        self,
        run: Run,
        *,
        warnings: Sequence[str] = (),
        segments: Sequence[Sequence[TranscriptSegment]] = (),
        **changes: Any,
    ) -> None:
        """End a job whose parts are all complete. Raises RunLost.

        segments: of each part from the first one on, in place of those that were stored
        """
        text = WARNINGS.dump_json(tuple(warnings)).decode()
        with self._engine.begin() as connection:
            self._write(connection, run, warnings=text, **changes)
            for number, each in enumerate(segments):
                where = (parts.c.job == run.job.id, parts.c.number == number)
                written = SEGMENTS.dump_json(tuple(each)).decode()
                connection.execute(sa.update(parts).where(*where).values(segments=written))
            self._end(connection, run.job, JobState.SUCCEEDED, None)

    def fail(self, run: Run, problem: JobProblem) -> None:
        """End a job without its text. Raises RunLost."""
        with self._engine.begin() as connection:
            self._write(connection, run)
            self._end(connection, run.job, JobState.FAILED, problem)

    def cancel(self, job_id: str, owner: str | None = None) -> Job:
        """Cancel a job unless it has ended; return it. Raises JobNotFound."""
        with self._engine.begin() as connection:
            job = job_of(self._row(connection, job_id, owner, for_update=True))
            if job.state.is_final:
                return job
            return self._end(connection, job, JobState.CANCELLED, None)

    # Deletion

    def delete(self, job_id: str) -> Removed:
        """Delete the rows of a job. Raises JobNotFound."""
        with self._engine.begin() as connection:
            found = sa.delete(jobs).where(jobs.c.id == job_id, NOT_STRIPPED).returning(jobs.c.audio)
            row = connection.execute(found).one_or_none()
        if row is None:
            raise JobNotFound(job_id)
        return Removed((job_id,), (row.audio,) if row.audio else (), 1)

    def purge(self) -> Removed:
        """Delete the rows of some jobs that have expired; all are deleted when it returns a count of 0.

        A job whose end is still being reported keeps what the report needs, without audio and text.
        """
        now = self._now()
        reporting = sa.and_(
            jobs.c.callback == CallbackState.PENDING, jobs.c.finished > now - CALLBACK_SECONDS
        )
        expired = sa.and_(jobs.c.expires <= now, sa.or_(sa.not_(reporting), NOT_STRIPPED))
        columns = (jobs.c.id, jobs.c.audio, jobs.c.options, reporting.label("reporting"))
        with self._engine.begin() as connection:
            rows = connection.execute(sa.select(*columns).where(expired).limit(PURGE_AT_ONCE)).all()
            over = [row.id for row in rows if not row.reporting]
            connection.execute(sa.delete(jobs).where(jobs.c.id.in_(over)))
            for row in rows:
                if row.reporting:
                    self._strip(connection, row)
        audio = tuple(row.audio for row in rows if row.audio)
        return Removed(tuple(over), audio, len(rows))

    def _strip(self, connection: sa.Connection, row: Any) -> None:
        """Delete all of a job but what its callback needs."""
        options = OPTIONS.validate_json(row.options)
        kept = JobOptions(callback=options.callback, metadata=options.metadata)
        connection.execute(sa.delete(parts).where(parts.c.job == row.id))
        self._update(
            connection,
            row.id,
            stripped=True,
            audio=None,
            size=None,
            url=None,
            name="",
            idempotency_key=None,
            warnings="[]",
            tracks=None,
            summary=None,
            chapters=None,
            options=OPTIONS.dump_json(kept).decode(),
        )

    def is_audio_used(self, key: str) -> bool:
        """Return whether a job has this audio."""
        with self._engine.connect() as connection:
            return connection.scalar(sa.select(sa.exists().where(jobs.c.audio == key))) or False

    # Parts of transactions

    def _row(
        self, connection: sa.Connection, job_id: str, owner: str | None, *, for_update: bool = False
    ) -> Any:
        """Return the row of a job. Raises JobNotFound, also if it belongs to another owner."""
        found = sa.select(jobs).where(jobs.c.id == job_id, NOT_STRIPPED)
        row = connection.execute(found.with_for_update() if for_update else found).one_or_none()
        if row is None or (owner is not None and row.owner != owner):
            raise JobNotFound(job_id)
        return row

    def _completed(self, connection: sa.Connection, job_id: str) -> tuple[int, int]:
        """Return the number of completed parts, and the sample at which the last one ends."""
        query = sa.select(sa.func.count(), sa.func.max(parts.c.end)).where(parts.c.job == job_id)
        count, end = connection.execute(query).one()
        return count, end or 0

    def _update(self, connection: sa.Connection, job_id: str, **changes: Any) -> Job:
        """Change columns of a job, and return it."""
        values = {"revision": jobs.c.revision + 1} | changes
        changed = sa.update(jobs).where(jobs.c.id == job_id).values(values).returning(jobs)
        return job_of(connection.execute(changed).one())

    def _write(self, connection: sa.Connection, run: Run, **changes: Any) -> int:
        """Write in the name of a run, and return the round of its job. Raises RunLost if it may not."""
        values = {"revision": jobs.c.revision + 1} | changes
        where = (jobs.c.id == run.job.id, jobs.c.lease == run.lease, jobs.c.state.notin_(FINAL_STATES))
        changed = sa.update(jobs).where(*where).values(values).returning(jobs.c.round)
        order: int | None = connection.scalar(changed)
        if order is None:
            raise RunLost
        return order

    def _end(self, connection: sa.Connection, job: Job, state: JobState, problem: JobProblem | None) -> Job:
        """End a job, queue its callback, and return it."""
        now = self._now()
        ended = self._update(
            connection,
            job.id,
            state=state,
            lease=None,
            step=None,
            finished=now,
            expires=now + self._retention_seconds,
            problem=None if problem is None else PROBLEM.dump_json(problem).decode(),
            callback=None if job.options.callback is None else CallbackState.PENDING,
        )
        if job.options.callback is not None:
            self._queue.add(connection, job.id, Work.CALLBACK)
        return ended


def _priority(priority: JobPriority, order: int) -> int:
    """Return the priority of DBOS: 1 and up, lower ones run first."""
    return 1 + min(order, MAX_ROUND - 1) + (MAX_ROUND if priority is JobPriority.LOW else 0)


def read_parts(connection: sa.Connection, job_id: str, from_part: int = 0) -> list[PartText]:
    """Return the text of each part of a job from a part on."""
    query = sa.select(parts.c.segments, parts.c.filtered).where(
        parts.c.job == job_id, parts.c.number >= from_part
    )
    rows = connection.execute(query.order_by(parts.c.number)).all()
    return [
        PartText(SEGMENTS.validate_json(row.segments), FILTERED.validate_json(row.filtered or "[]"))
        for row in rows
    ]


def job_of(row: Any) -> Job:
    """Return the job of a row."""
    return Job(
        id=row.id,
        owner=row.owner,
        state=JobState(row.state),
        source=JobSource(row.url, row.name, row.audio, row.size),
        options=OPTIONS.validate_json(row.options),
        created=row.created,
        priority=JobPriority(row.priority),
        protocol=row.protocol,
        started=row.started,
        finished=row.finished,
        expires=row.expires,
        bytes_done=row.bytes_done,
        bytes_total=row.bytes_total,
        seconds_done=row.seconds_done,
        seconds_total=row.seconds_total,
        attempts=row.attempts,
        model=row.model,
        language=row.language,
        problem=None if row.problem is None else PROBLEM.validate_json(row.problem),
        warnings=WARNINGS.validate_json(row.warnings),
        tracks=None if row.tracks is None else TRACKS.validate_json(row.tracks),
        callback=None if row.callback is None else CallbackState(row.callback),
        revision=row.revision,
        channels=row.channels or 1,
        worker=row.worker,
        step=None if row.step is None else JobStep(row.step),
        summary=None if row.summary is None else SUMMARY.validate_json(row.summary),
        chapters=None if row.chapters is None else CHAPTERS.validate_json(row.chapters),
    )
