"""A worker claims jobs and carries them out."""

import asyncio
import io
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from asr.recognizer import Hypothesis, RecognitionRequest, TranscriptionOptions
from jobs.errors import JobNotFound, JobsUnavailable
from jobs.host import WorkerLease
from jobs.job import JobOptions, JobPriority, JobProblem, JobSource, JobState, NewJob
from jobs.options import JobsOptions
from jobs.service import JobDatabase, Jobs
from jobs.store import JobStore, Run
from jobs.tables import jobs as rows
from jobs.tables import workers
from jobs.work_queue import Work
from jobs.worker import CarryOut, JobWorker, StallWatch, may_take_over
from postprocessing.options import TextOptions
from tests.audio.test_files import encoded, two_tracks
from tests.jobs.working import SECOND, TALK, ended, runner_of, uploaded, working
from tests.server.asgi_calls import wav
from tests.streaming.fakes import sound
from tests.streaming.working_models import HeldRecognizer, Recognizer, models
from tests.waiting import until
from transcripts.transcript import FilteredText, TranscriptSegment


async def test_upload_becomes_text(database: JobDatabase) -> None:
    async with working(database) as jobs:
        job = await uploaded(jobs, wav(TALK))
        done = await ended(jobs, job)
        transcript = await jobs.transcript(job.id, "ann")
    assert (done.state, done.model, done.seconds_done, done.seconds_total) == (
        JobState.SUCCEEDED,
        "little",
        5.0,
        5.0,
    )
    assert len(transcript.segments) == 2
    assert transcript.segments[0].end <= transcript.segments[1].start


@pytest.mark.parametrize(("chosen", "used"), [(None, 1), (0, 0)])
async def test_job_lists_the_tracks_of_its_file(database: JobDatabase, chosen: int | None, used: int) -> None:
    async with working(database) as jobs:
        job = await uploaded(jobs, two_tracks(), JobOptions(track=chosen))
        assert job.tracks is None
        done = await ended(jobs, job)
    assert done.tracks is not None
    assert done.tracks.used == used
    assert [(each.index, each.default, each.channels) for each in done.tracks.tracks] == [
        (0, False, 1),
        (1, True, 1),
    ]


async def test_owners_take_turns_and_low_priority_runs_last(database: JobDatabase) -> None:
    waiting = Jobs(database)
    low = await uploaded(waiting, wav(TALK), owner="eve", priority=JobPriority.LOW)
    many = [await uploaded(waiting, wav(TALK)) for _ in range(3)]
    one = await uploaded(waiting, wav(TALK), owner="bob")
    async with working(database, jobs_at_once=1) as jobs:
        found = [await ended(jobs, job) for job in (low, *many, one)]
    assert {job.state for job in found} == {JobState.SUCCEEDED}
    ran = [job.id for job in sorted(found, key=lambda job: job.started or 0.0)]
    assert ran == [job.id for job in (many[0], one, many[1], many[2], low)]


async def test_trimmed_job_keeps_the_times_of_the_file(database: JobDatabase) -> None:
    async with working(database) as jobs:
        job = await uploaded(jobs, wav(TALK), JobOptions(start=2.5, end=4.5))
        done = await ended(jobs, job)
        (segment,) = (await jobs.transcript(job.id)).segments
    assert (done.seconds_done, done.seconds_total) == (2.0, 2.0)
    assert 2.5 * SECOND <= segment.start < 3.2 * SECOND
    assert segment.end <= 4.5 * SECOND


async def test_start_after_the_end_of_the_file_fails_the_job(database: JobDatabase) -> None:
    async with working(database) as jobs:
        done = await ended(jobs, await uploaded(jobs, wav(TALK), JobOptions(start=7.0)))
    assert done.state is JobState.FAILED
    assert done.problem is not None
    assert "start, 7 s, is after the end" in done.problem.message


class Speaking(Recognizer):
    """Hear the same text in every utterance."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        super().transcribe(requests)
        return [Hypothesis(self.text) for _ in requests]


def _database_content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("jobs.db*"))


async def test_redacted_text_is_stored_nowhere(tmp_path: Path) -> None:
    options = JobOptions(text=TextOptions(profanity_filter=True, redact=("email_address",)))
    database = JobDatabase(JobsOptions(tmp_path))
    try:
        async with working(database, Speaking("Shit, write to ann@example.org.")) as jobs:
            job = await uploaded(jobs, wav(TALK), options)
            await ended(jobs, job)
            texts = {each.hypothesis.text for each in (await jobs.transcript(job.id)).segments}
        stored = _database_content(tmp_path)
    finally:
        database.close()
    assert texts == {"****, write to [EMAIL_ADDRESS]."}
    assert b"[EMAIL_ADDRESS]" in stored
    assert b"ann@example.org" not in stored


async def test_shortened_text_of_a_job_is_named(database: JobDatabase) -> None:
    async with working(database, Speaking("well " + "no " * 90)) as jobs:
        job = await uploaded(jobs, wav(TALK), JobOptions(start=2.5))
        await ended(jobs, job)
        found = await jobs.transcript(job.id)
    (segment,) = found.segments
    assert segment.hypothesis.text == "well no no no no no"
    assert segment.start > 2.5 * SECOND
    assert found.filtered == (FilteredText(segment.start, segment.end, "repetition"),)


class Unsure(Recognizer):
    """Be certain of some texts' languages, and otherwise take the likely language or guess."""

    def __init__(self, *certain: str | None) -> None:
        super().__init__()
        self._certain = list(certain)

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        return [
            replace(found, language=language or request.likely_language or "la", language_probability=sure)
            for found, request in zip(super().transcribe(requests), requests, strict=True)
            for language in (self._certain.pop(0),)
            for sure in (0.99 if language else 0.2,)
        ]


PARTS = sound(*((True, SECOND), (False, 99 * SECOND)) * 4)  # an utterance in each part of at most 120 s


async def test_certain_language_is_likely_in_later_parts(database: JobDatabase) -> None:
    async with working(database, Unsure("vi", None, "en", None)) as jobs:
        job = await uploaded(jobs, wav(PARTS))
        done = await ended(jobs, job)
        segments = (await jobs.transcript(job.id)).segments
    assert [each.hypothesis.language for each in segments] == ["vi", "vi", "en", "en"]
    assert done.language == "en"  # of a little more speech: the first utterance lacks its pre-roll


async def test_language_is_kept_by_the_next_run(database: JobDatabase) -> None:
    async with models(Unsure("vi", None, None, None)) as clients:
        job = await uploaded(Jobs(database), wav(PARTS))
        run = database.store.begin(job.id, JobState.TRANSCRIBING)
        assert run is not None
        first = TranscriptSegment(0, SECOND, Hypothesis("x", (), "de", language_probability=0.9))
        database.store.complete_part(run, 0, 150 * SECOND, [first], 150.0)
        database.store.release(run)
        await runner_of(database, clients).run(job.id, Work.TRANSCRIBE)
    found = [segment for part in database.store.parts(job.id) for segment in part.segments]
    assert [each.hypothesis.language for each in found] == ["de", "vi", "vi"]
    assert database.store.get(job.id).language == "vi"  # that of most of the speech


async def test_file_without_audio_fails_at_once(database: JobDatabase) -> None:
    async with working(database) as jobs:
        done = await ended(jobs, await uploaded(jobs, b"no sound at all"))
    assert done.state is JobState.FAILED
    assert done.problem is not None
    assert done.problem.code == "invalid_audio"
    assert "Supported formats: ['flac'" in done.problem.message


async def test_bad_files_fail_with_the_errors_of_requests(database: JobDatabase) -> None:
    async with working(database) as jobs:
        empty = await ended(jobs, await uploaded(jobs, wav(TALK[:0])))
        other = await ended(jobs, await uploaded(jobs, wav(TALK), JobOptions(track=3)))
    assert empty.problem == JobProblem("audio_too_short", "The file contains no audio.")
    assert other.problem is not None
    assert other.problem.code == "invalid_value"
    assert other.problem.message.startswith("The file has no audio track 3")


async def test_audio_above_the_limit_fails(database: JobDatabase) -> None:
    async with working(database, max_seconds=4.0) as jobs:
        done = await ended(jobs, await uploaded(jobs, wav(TALK)))
    assert done.problem is not None
    assert done.problem.code == "audio_too_long"
    assert done.problem.message.startswith("Maximum audio length (4 s) exceeded")


async def test_audio_longer_than_its_header_says_fails(database: JobDatabase) -> None:
    async with working(database, max_seconds=4.0) as jobs:
        done = await ended(jobs, await uploaded(jobs, encoded("adts", "aac", 8_000, "mono", seconds=130.0)))
    assert done.problem is not None
    assert done.problem.code == "audio_too_long"
    assert done.seconds_done <= 120


async def test_unsupported_task_fails(database: JobDatabase) -> None:
    options = JobOptions(asr=TranscriptionOptions(task="translate"))
    async with working(database) as jobs:
        done = await ended(jobs, await uploaded(jobs, wav(TALK), options))
    assert done.problem is not None
    assert done.problem.code == "unsupported_value"


class Failing(Recognizer):
    """Fail so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.left = times

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        if self.left > 0:
            self.left -= 1
            raise RuntimeError("no memory")
        return super().transcribe(requests)


@pytest.mark.parametrize(("failures", "state"), [(2, JobState.SUCCEEDED), (10_000, JobState.FAILED)])
async def test_failing_recognizer_is_tried_again(
    database: JobDatabase, failures: int, state: JobState
) -> None:
    async with working(database, Failing(failures)) as jobs:
        done = await ended(jobs, await uploaded(jobs, wav(TALK)))
    assert done.state is state
    assert (done.problem is None) == (state is JobState.SUCCEEDED)


async def test_cancelled_job_stops(database: JobDatabase) -> None:
    held = HeldRecognizer()
    async with working(database, held) as jobs:
        job = await uploaded(jobs, wav(TALK))
        await until(lambda: database.store.get(job.id).state is JobState.TRANSCRIBING)
        assert (await jobs.cancel(job.id, "ann")).state is JobState.CANCELLED
        held.gate.set()
        other = await uploaded(jobs, wav(TALK))
        assert (await ended(jobs, other)).state is JobState.SUCCEEDED
        assert (await jobs.get(job.id)).state is JobState.CANCELLED
        assert (await jobs.transcript(job.id)).segments == ()


async def test_deleted_job_leaves_no_audio_and_no_row(database: JobDatabase) -> None:
    async with working(database) as jobs:
        job = await uploaded(jobs, wav(TALK))
        await ended(jobs, job)
        with database.audio.local(str(job.source.audio)) as path:
            pass
        assert path.exists()
        await jobs.delete(job.id, "ann")
        with pytest.raises(JobNotFound):
            await jobs.get(job.id)
        assert not path.exists()
        assert database.queue._ids(job.id) == []


async def test_stopped_worker_gives_its_job_back(database: JobDatabase) -> None:
    held = HeldRecognizer()
    async with working(database, held) as jobs:
        job = await uploaded(jobs, wav(TALK))
        await until(lambda: database.store.get(job.id).state is JobState.TRANSCRIBING)
        held.gate.set()
    assert database.store.get(job.id).state in (JobState.QUEUED, JobState.SUCCEEDED)
    async with working(database) as jobs:
        done = await ended(jobs, job)
    assert (done.state, done.attempts) == (JobState.SUCCEEDED, 0)


async def test_job_waits_for_a_locked_database(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    database = JobDatabase(JobsOptions(tmp_path))

    @event.listens_for(database.engine, "connect")
    def wait_briefly(connection: sqlite3.Connection, record: object) -> None:
        connection.execute("PRAGMA busy_timeout=50")

    database.engine.dispose()
    held = HeldRecognizer()
    async with working(database, held) as jobs:
        job = await uploaded(jobs, wav(TALK))
        await until(lambda: database.store.get(job.id).state is JobState.TRANSCRIBING)
        with closing(sqlite3.connect(JobsOptions(tmp_path).database_file, isolation_level=None)) as other:
            await until(lambda: locked(other))
            held.gate.set()
            await until(lambda: "job.database_failed" in caplog.text)
            with pytest.raises(JobsUnavailable):
                await uploaded(jobs, wav(TALK))
        done = await ended(jobs, job)
        assert len((await jobs.transcript(job.id)).segments) == 2
    assert (done.state, done.attempts) == (JobState.SUCCEEDED, 0)
    database.close()


def locked(connection: sqlite3.Connection) -> bool:
    """Lock the database unless it is being written."""
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    return True


def worker_one(database: JobDatabase, carry_out: CarryOut, **seconds: float) -> JobWorker:
    """Return a worker that runs one job at a time; seconds: of JobWorker."""
    return JobWorker(database.engine, database.queue, carry_out, worker_id="one", jobs=1, **seconds)


async def test_unit_that_raised_is_done_again(database: JobDatabase) -> None:
    tries: list[str] = []

    async def carry_out(job_id: str, work: Work, number: int) -> None:
        tries.append(job_id)
        if len(tries) == 1:
            raise OSError("the disk is gone")

    worker = worker_one(database, carry_out, poll_seconds=0.1, beat_seconds=0.2, dead_seconds=4.0)
    job, _ = database.store.submit(NewJob("ann", JobSource(audio="00-11", size=1)))
    async with worker:
        await until(lambda: tries == [job.id, job.id], seconds=90)  # A busy machine delays the beats.
        await until(lambda: database.queue.claimed_by("one", Work.TRANSCRIBE) == [])


async def test_worker_whose_heartbeat_hangs_is_stuck(tmp_path: Path) -> None:
    async def carry_out(job_id: str, work: Work, number: int) -> None:
        raise AssertionError

    with closing(JobDatabase(JobsOptions(tmp_path))) as database:
        worker = worker_one(database, carry_out, beat_seconds=0.05, stuck_seconds=1.0)
        async with worker:
            await until(lambda: not worker.is_stuck)
            with closing(sqlite3.connect(JobsOptions(tmp_path).database_file, isolation_level=None)) as other:
                await until(lambda: locked(other))
                await until(lambda: worker.is_stuck)
            await until(lambda: not worker.is_stuck)


async def test_last_attempt_of_a_job_runs_alone(
    database: JobDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "jobs.runner")
    held = HeldRecognizer()
    async with models(held) as clients:
        jobs, runner = Jobs(database), runner_of(database, clients)
        suspect, other = [await uploaded(jobs, wav(TALK)) for _ in range(2)]
        for _ in range(2):  # two workers died on it
            database.store.begin(suspect.id, JobState.TRANSCRIBING)
        runs = [asyncio.create_task(runner.run(other.id, Work.TRANSCRIBE))]
        await until(lambda: database.store.get(other.id).state is JobState.TRANSCRIBING)
        runs.append(asyncio.create_task(runner.run(suspect.id, Work.TRANSCRIBE)))
        held.gate.set()
        await asyncio.gather(*runs)
    records = [record for record in caplog.records if record.name == "jobs.runner"]
    told = [" ".join(record.getMessage().split()[:2]) for record in records]
    assert told == [
        f"{event} job={job.id}" for job in (other, suspect) for event in ("job.begun", "job.succeeded")
    ]


class LateCheck(JobStore):
    """Look at the job only after its outcome was written."""

    def __init__(self, database: JobDatabase) -> None:
        super().__init__(database.engine, database.queue, retention_seconds=60, max_unfinished=9)
        self.checking, self.ended = threading.Event(), threading.Event()

    def check(self, run: Run) -> None:
        self.checking.set()
        self.ended.wait(60)
        super().check(run)

    def succeed(self, run: Run, **changes: Any) -> None:
        super().succeed(run, **changes)
        self.ended.set()


async def test_run_that_has_ended_is_not_lost(
    database: JobDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "jobs.runner")
    held, store = HeldRecognizer(), LateCheck(database)
    async with models(held) as clients:
        job = await uploaded(Jobs(database), wav(TALK))
        running = asyncio.create_task(runner_of(database, clients, store=store).run(job.id, Work.TRANSCRIBE))
        await until(store.checking.is_set)
        held.gate.set()
        await running
    assert database.store.get(job.id).state is JobState.SUCCEEDED
    assert "job.run_lost" not in caplog.text


async def test_last_attempt_that_still_runs_is_not_taken_for_dead(database: JobDatabase) -> None:
    held = HeldRecognizer()
    async with models(held) as clients:
        job = await uploaded(Jobs(database), wav(TALK))
        for _ in range(2):  # two workers died on it
            database.store.begin(job.id, JobState.TRANSCRIBING)
        runs = [asyncio.create_task(runner_of(database, clients).run(job.id, Work.TRANSCRIBE))]
        await until(lambda: database.store.get(job.id).attempts == 3)
        runs.append(asyncio.create_task(runner_of(database, clients).run(job.id, Work.TRANSCRIBE)))
        await runs[0]
        held.gate.set()
        await runs[1]
    found = database.store.get(job.id)
    assert (found.state, found.problem) == (JobState.SUCCEEDED, None)


def lease_of(database: JobDatabase, job_id: str) -> str | None:
    with database.engine.connect() as connection:
        found: str | None = connection.scalar(sa.select(rows.c.lease).where(rows.c.id == job_id))
    return found


class StarvedStore(JobStore):
    """Let a run that has begun use the database only when the gate is open, as if its process got no time."""

    def __init__(self, database: JobDatabase) -> None:
        super().__init__(database.engine, database.queue, retention_seconds=60, max_unfinished=9)
        self.gate = threading.Event()

    def check(self, run: Run) -> None:
        self.gate.wait(60)
        super().check(run)

    def report(self, run: Run, **changes: Any) -> None:
        self.gate.wait(60)
        super().report(run, **changes)


@pytest.mark.parametrize("lives", [True, False])
async def test_last_attempt_of_a_starved_worker_counts_only_if_it_died(tmp_path: Path, lives: bool) -> None:
    options = JobsOptions(tmp_path)
    starved, other = WorkerLease.take(options), WorkerLease.take(options)
    with closing(JobDatabase(options)) as database:
        store = StarvedStore(database)
        async with models() as clients:
            job = await uploaded(Jobs(database), wav(TALK))
            for _ in range(2):  # two workers died on it
                database.store.begin(job.id, JobState.TRANSCRIBING)
            first = runner_of(database, clients, store=store, lease=starved)
            runs = [asyncio.create_task(first.run(job.id, Work.TRANSCRIBE))]
            await until(lambda: database.store.get(job.id).attempts == 3)
            if not lives:
                starved.release()
            # Without a wait: only what is known of the worker's process counts.
            second = runner_of(database, clients, lease=other, revoked_seconds=0.0)
            runs.append(asyncio.create_task(second.run(job.id, Work.TRANSCRIBE)))
            if lives:
                await until(lambda: lease_of(database, job.id) is None)
                assert not runs[1].done()
            else:
                await runs[1]
            store.gate.set()
            await asyncio.gather(*runs)
        found = database.store.get(job.id)
    other.release()
    if lives:
        assert (found.state, found.problem, found.worker) == (JobState.SUCCEEDED, None, other.owner)
    else:
        assert (found.state, found.worker) == (JobState.FAILED, starved.owner)
    starved.release()


def test_process_with_the_name_of_a_dead_one_is_another(tmp_path: Path) -> None:
    options = JobsOptions(tmp_path)
    first, watcher = WorkerLease.take(options), WorkerLease.take(options)
    assert watcher.lives(first.owner)
    first.release()
    assert not watcher.lives(first.owner)
    second = WorkerLease.take(options)
    assert second.worker_id == first.worker_id
    assert watcher.lives(second.owner)
    assert not watcher.lives(first.owner)
    assert not second.lives(first.owner)
    second.release()
    watcher.release()


async def test_audio_stays_when_its_job_was_accepted_before(database: JobDatabase) -> None:
    jobs = Jobs(database)
    audio = await jobs.save_audio(io.BytesIO(b"sound"))
    new = NewJob("ann", JobSource(audio=audio.key, size=audio.size), idempotency_key="once")
    first, _ = await jobs.submit(new)
    assert await jobs.submit(new) == (first, False)
    with database.audio.local(audio.key) as path:
        assert path.read_bytes() == b"sound"


@pytest.mark.slow
async def test_many_jobs_of_many_owners_end_once(database: JobDatabase) -> None:
    async with working(database) as jobs:
        all_jobs = [await uploaded(jobs, wav(TALK)) for _ in range(12)]
        done = await asyncio.gather(*(ended(jobs, job) for job in all_jobs))
    assert {job.state for job in done} == {JobState.SUCCEEDED}


def test_only_one_takes_over_a_dead_worker(database: JobDatabase) -> None:
    with database.engine.begin() as connection:
        connection.execute(sa.insert(workers).values(id="dead", beat=7))
    assert [may_take_over(database.engine, "dead", 7) for _ in range(3)] == [True, False, False]
    assert may_take_over(database.engine, "dead", 8)  # the first one died, too
    assert not may_take_over(database.engine, "unknown", 7)


def test_worker_is_dead_once_its_beat_has_stopped() -> None:
    watch = StallWatch(30)
    assert watch.stalled({"a": 1, "b": 5}, 0) == []
    assert watch.stalled({"a": 2, "b": 5}, 15) == []
    assert watch.stalled({"a": 2, "b": 5}, 29) == []
    assert watch.stalled({"a": 2, "b": 5}, 31) == ["b"]
    assert watch.stalled({"a": 2}, 44) == []
    assert watch.stalled({"a": 2}, 45) == ["a"]
    assert watch.stalled({"b": 5}, 46) == []


def test_outage_of_the_database_kills_no_worker() -> None:
    watch = StallWatch(30)
    assert watch.stalled({"a": 1}, 0) == []
    assert watch.stalled({"a": 1}, 100) == []  # neither could write meanwhile
    assert watch.stalled({"a": 2}, 105) == []
