"""Rows of jobs, in SQLite and in Postgres."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from asr.recognizer import Hypothesis, TranscriptionOptions, Word
from jobs.errors import IdempotencyConflict, JobNotFound, StorageFull, TooManyJobs
from jobs.job import Job, JobOptions, JobPriority, JobProblem, JobSource, JobState, NewJob, PartText
from jobs.service import JobDatabase
from jobs.store import JobStore, Run, RunLost
from jobs.work_queue import Work
from transcripts.transcript import FilteredText, TranscriptSegment

UPLOAD = JobSource(name="talk.wav", audio="00-11", size=12)
WORDS = (Word("so", 3, 9, 0.5),)
FILTERED = FilteredText(20, 30, "phantom")
SEGMENT = TranscriptSegment(3, 12, Hypothesis("so it is", WORDS, "en", 0.75))


@pytest.fixture
def store(database: JobDatabase) -> JobStore:
    return database.store


def submitted(store: JobStore, owner: str = "ann", **changes: object) -> Job:
    return store.submit(replace(NewJob(owner, UPLOAD), **changes))[0]  # type: ignore[arg-type]


def begun(store: JobStore, job: Job) -> Run:
    run = store.begin(job.id, JobState.TRANSCRIBING)
    assert run is not None
    return run


def test_submitted_job_is_read_with_all_it_was_given(store: JobStore) -> None:
    asr = TranscriptionOptions(language="en", hotwords=("Ada", "Grace"), words=True)
    options = JobOptions("base", asr, 1.5, 9.0, 1, "https://example.org/done", "mine")
    job, is_new = store.submit(NewJob("ann", UPLOAD, options, JobPriority.LOW, "native"))
    assert is_new
    assert (job.owner, job.source, job.options) == ("ann", UPLOAD, options)
    assert (job.state, job.priority, job.protocol) == (JobState.QUEUED, JobPriority.LOW, "native")
    assert store.get(job.id, "ann") == replace(job, position=0)


def test_job_of_another_owner_is_not_found(store: JobStore) -> None:
    job = submitted(store)
    for read in (store.get, store.cancel):
        with pytest.raises(JobNotFound):
            read(job.id, "bob")
    with pytest.raises(JobNotFound):
        store.find("bob", limit=5, after=job.id)
    assert store.find("bob", limit=5) == []
    assert store.get(job.id).state is JobState.QUEUED


def test_same_idempotency_key_gives_the_first_job(store: JobStore) -> None:
    new = NewJob("ann", UPLOAD, idempotency_key="once", fingerprint="a")
    first, _ = store.submit(new)
    again, is_new = store.submit(new)
    assert (again.id, is_new) == (first.id, False)
    assert store.submit(replace(new, owner="bob"))[0].id != first.id
    with pytest.raises(IdempotencyConflict):
        store.submit(replace(new, fingerprint="b"))
    assert len(store.find("ann", limit=5)) == 1


def test_jobs_are_refused_above_the_bound(database: JobDatabase) -> None:
    store = JobStore(database.engine, database.queue, retention_seconds=1, max_unfinished=2)
    submitted(store)
    with pytest.raises(TooManyJobs):  # half of the bound is one owner's
        submitted(store)
    first = submitted(store, "bob")
    for owner in ("ann", "bob"):
        with pytest.raises(TooManyJobs):
            submitted(store, owner)
    with pytest.raises(TooManyJobs):
        submitted(store, "cid")
    store.cancel(first.id)
    submitted(store, "bob")


def test_uploads_are_refused_when_the_storage_is_full(database: JobDatabase) -> None:
    store = JobStore(
        database.engine, database.queue, retention_seconds=1, max_unfinished=99, max_audio_bytes=30
    )
    first = submitted(store)
    submitted(store)
    with pytest.raises(StorageFull):
        submitted(store)
    submitted(store, source=JobSource(url="https://example.org/a.mp3"))
    store.delete(first.id)
    submitted(store)


def test_pages_hold_the_newest_jobs_first(store: JobStore) -> None:
    ids = [submitted(store).id for _ in range(5)]
    first = store.find("ann", limit=3)
    second = store.find("ann", limit=3, after=first[-1].id)
    assert [job.id for job in (*first, *second)] == ids[::-1]
    store.cancel(ids[2])
    assert [job.id for job in store.find("ann", limit=9, states={JobState.CANCELLED})] == [ids[2]]


def test_owners_share_the_workers_job_by_job(store: JobStore) -> None:
    many = [submitted(store, "ann") for _ in range(4)]
    one = submitted(store, "bob")
    low = submitted(store, "eve", priority=JobPriority.LOW)
    positions = [store.get(job.id).position for job in (*many, one, low)]
    assert positions == [0, 2, 3, 4, 1, 5]


def test_part_is_kept_for_the_next_run(store: JobStore) -> None:
    job = submitted(store)
    run = begun(store, job)
    store.complete_part(run, 0, 1_000, [SEGMENT], 0.5, [FILTERED])
    store.complete_part(run, 1, 1_900, [], 0.9)
    next_run = begun(store, job)
    assert (next_run.parts, next_run.position) == (2, 1_900)
    assert store.parts(job.id) == [PartText((SEGMENT,), (FILTERED,)), PartText(())]
    assert store.parts(job.id, 1) == [PartText(())]
    with pytest.raises(RunLost):  # the first run has lost its lease
        store.complete_part(run, 2, 3_000, [], 1.5)
    store.complete_part(next_run, 2, 3_000, [], 1.5)
    store.succeed(next_run, seconds_total=1.5, language="en", warnings=["short"])
    ended = store.get(job.id)
    assert (ended.state, ended.seconds_done, ended.language) == (JobState.SUCCEEDED, 1.5, "en")
    assert ended.warnings == ("short",)
    assert store.begin(job.id, JobState.TRANSCRIBING) is None


def test_begin_is_repeated_without_a_further_attempt(store: JobStore) -> None:
    job = submitted(store)
    first = store.begin(job.id, JobState.TRANSCRIBING, "lease")
    again = store.begin(job.id, JobState.TRANSCRIBING, "lease")
    assert first == again
    assert store.get(job.id).attempts == 1


def test_third_death_without_a_part_fails_the_job(store: JobStore) -> None:
    job = submitted(store)
    for _ in range(2):
        begun(store, job)
    store.complete_part(begun(store, job), 0, 10, [], 0.0)  # counts anew
    for _ in range(3):
        begun(store, job)
    assert store.begin(job.id, JobState.TRANSCRIBING) is None
    ended = store.get(job.id)
    assert ended.state is JobState.FAILED
    assert ended.problem is not None
    assert ended.problem.code == "worker_died"


def test_run_whose_worker_was_wrongly_taken_for_dead_is_no_attempt(store: JobStore) -> None:
    job = submitted(store)
    for _ in range(9):
        lost = begun(store, job)
        begun(store, job)
        with pytest.raises(RunLost):
            store.check(lost)
        store.outlived(lost)
        store.release(begun(store, job))
        store.outlived(lost)
    assert store.get(job.id).state is JobState.QUEUED


def test_released_job_is_queued_and_counts_no_attempt(store: JobStore) -> None:
    job = submitted(store)
    for _ in range(9):
        store.release(begun(store, job))
    assert (store.get(job.id).state, store.get(job.id).attempts) == (JobState.QUEUED, 0)


def test_cancelled_job_loses_its_run_and_stays_cancelled(store: JobStore) -> None:
    job = submitted(store)
    run = begun(store, job)
    assert store.cancel(job.id).state is JobState.CANCELLED
    writes: tuple[Callable[[Run], None], ...] = (store.succeed, store.check, store.release)
    for write in writes:
        with pytest.raises(RunLost):
            write(run)
    with pytest.raises(RunLost):
        store.fail(run, JobProblem("x", "y"))
    assert store.cancel(job.id).state is JobState.CANCELLED


def test_job_whose_download_ended_is_queued_for_transcription(database: JobDatabase) -> None:
    store = database.store
    job = submitted(store, source=JobSource(url="https://example.org/a.mp3"))
    run = store.begin(job.id, JobState.FETCHING)
    assert run is not None
    source = JobSource("https://example.org/a.mp3", "a.mp3", "00-22", 9)
    store.fetched(run, source)
    found = store.get(job.id)
    assert (found.state, found.source, found.attempts) == (JobState.QUEUED, source, 0)


def test_deletion_leaves_no_row(database: JobDatabase) -> None:
    store = database.store
    job = submitted(store)
    store.complete_part(begun(store, job), 0, 10, [SEGMENT], 0.0)
    removed = store.delete(job.id)
    assert (removed.jobs, removed.audio) == ((job.id,), ("00-11",))
    assert store.parts(job.id) == []
    with pytest.raises(JobNotFound):
        store.get(job.id)


@pytest.fixture
def clock() -> list[float]:
    return [1_000.0]


def test_ended_jobs_expire_and_others_do_not(database: JobDatabase, clock: list[float]) -> None:
    store = JobStore(
        database.engine, database.queue, retention_seconds=60, max_unfinished=9, now=lambda: clock[0]
    )
    ended, running = submitted(store), submitted(store)
    store.cancel(ended.id)
    begun(store, running)
    clock[0] += 59
    assert store.purge().jobs == ()
    clock[0] += 1
    assert store.purge().jobs == (ended.id,)
    assert store.read([ended.id, running.id]).keys() == {running.id}


def test_audio_of_an_owner_is_summed(store: JobStore) -> None:
    run = begun(store, submitted(store))
    store.report(run, seconds_done=7.0)
    store.report(begun(store, submitted(store, "bob")), seconds_done=5.0)
    assert (store.audio_seconds("ann", 0.0), store.audio_seconds("eve", 0.0)) == (7.0, 0.0)
    store.succeed(run)
    assert store.audio_seconds("ann", run.job.created + 1e6) == 0.0


def test_callback_is_queued_when_a_job_ends(database: JobDatabase) -> None:
    store = database.store
    job = submitted(store, options=JobOptions(callback="https://example.org/done"))
    store.succeed(begun(store, job))
    assert any(name.endswith(f".{Work.CALLBACK}.0") for name in database.queue._ids(job.id))
