"""Jobs summarize their text once, and a summary never makes a job fail."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from asr.recognizer import Hypothesis, RecognitionRequest
from diarization.clustering import ANY_NUMBER
from jobs.job import JobOptions, JobSource, JobState, JobStep, NewJob
from jobs.options import JobsOptions
from jobs.service import JobDatabase, Jobs
from jobs.store import JobStore
from jobs.work_queue import Work
from postprocessing.options import TextOptions
from postprocessing.summary import Summarizer
from postprocessing.summary_types import Chapter, Chapters, Passage, Summary, SummaryEndpoint
from tests.jobs.test_speakers import DIALOGUE, Failing, TimedRecognizer
from tests.jobs.working import TALK, ended, runner_of, uploaded, working
from tests.postprocessing.chat_server import Answer, Request, chat_server, says
from tests.server.asgi_calls import wav
from tests.streaming.working_models import Recognizer, models
from tests.waiting import until

SUMMARIZED = JobOptions(summarize=True)
WRITTEN = Summary("Two people greet each other.", "model", "small")


class Card(Recognizer):
    """Hear a number in every clip."""

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        super().transcribe(requests)
        return [Hypothesis("My card is 4111 1111 1111 1111 today.") for _ in requests]


class Held:
    """Summarize once it is released; cancelled: whether the work was cancelled before."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.calls = 0
        self.cancelled = False

    async def summarize(self, texts: Sequence[str]) -> Summary:
        self.calls += 1
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return WRITTEN

    async def chapters(self, passages: Sequence[Passage]) -> Chapters:
        return Chapters((Chapter(passages[1].start, "Later"),), "small")


@pytest.fixture
def local(tmp_path: Path) -> Iterator[JobDatabase]:
    """Return an empty database in a file."""
    with closing(JobDatabase(JobsOptions(tmp_path))) as found:
        yield found


async def test_summary_is_stored_with_the_text(database: JobDatabase) -> None:
    with chat_server(lambda request: says(WRITTEN.text)) as served:
        summarizer = Summarizer(SummaryEndpoint(served.url, "small"))
        async with working(database, summarizer=summarizer) as jobs:
            plain = await ended(jobs, await uploaded(jobs, wav(TALK)))
            done = await ended(jobs, await uploaded(jobs, wav(TALK), SUMMARIZED))
            found = await jobs.transcript(done.id)
    assert (done.state, done.step, done.summary, plain.summary) == (JobState.SUCCEEDED, None, WRITTEN, None)
    (request,) = served.requests
    for segment in found.segments:
        assert segment.hypothesis.text in request["messages"][1]["content"]


async def test_job_says_that_it_summarizes(local: JobDatabase) -> None:
    held = Held()
    async with working(local, summarizer=held) as jobs:
        job = await uploaded(jobs, wav(TALK), SUMMARIZED)
        await until(lambda: held.calls == 1)
        working_on = await jobs.get(job.id)
        held.released.set()
        done = await ended(jobs, job)
    assert (working_on.state, working_on.step) == (JobState.TRANSCRIBING, JobStep.SUMMARY)
    assert (done.state, done.step, done.summary) == (JobState.SUCCEEDED, None, WRITTEN)


async def test_failed_endpoint_fails_no_job(local: JobDatabase) -> None:
    with chat_server(lambda request: (500, b"")) as served:
        summarizer = Summarizer(SummaryEndpoint(served.url, "small"))
        async with working(local, summarizer=summarizer) as jobs:
            done = await ended(jobs, await uploaded(jobs, wav(TALK), SUMMARIZED))
    assert (done.state, done.problem) == (JobState.SUCCEEDED, None)
    assert done.summary is not None
    assert (done.summary.method, done.summary.reason) == (
        "extractive",
        "the endpoint answered with status 500",
    )
    assert done.summary.text


async def test_cancelled_job_ends_its_summary(local: JobDatabase) -> None:
    held = Held()
    async with working(local, summarizer=held) as jobs:
        job = await uploaded(jobs, wav(TALK), SUMMARIZED)
        await until(lambda: held.calls == 1)
        assert (await jobs.cancel(job.id)).state is JobState.CANCELLED
        await until(lambda: held.cancelled)
        done = await jobs.get(job.id)
    assert (done.state, done.step, done.summary) == (JobState.CANCELLED, None, None)


async def test_request_to_the_endpoint_ends_with_a_cancelled_job(local: JobDatabase) -> None:
    released = threading.Event()

    def answer(request: Request) -> Answer:
        released.wait(30)
        return says("late")

    with chat_server(answer) as served:
        summarizer = Summarizer(SummaryEndpoint(served.url, "small"))
        async with models() as clients:
            jobs = Jobs(local)
            job = await uploaded(jobs, wav(TALK), SUMMARIZED)
            runner = runner_of(local, clients, summarizer=summarizer)
            run = asyncio.create_task(runner.run(job.id, Work.TRANSCRIBE))
            await until(lambda: served.requests)
            await jobs.cancel(job.id)
            await run  # although the endpoint has not answered
        released.set()


async def test_interrupted_summary_repeats_no_part(local: JobDatabase) -> None:
    jobs, recognizer, held = Jobs(local), Recognizer(), Held()
    job = await uploaded(jobs, wav(TALK), SUMMARIZED)
    async with models(recognizer) as clients:
        run = asyncio.create_task(runner_of(local, clients, summarizer=held).run(job.id, Work.TRANSCRIBE))
        await until(lambda: held.calls == 1)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        heard = sum(recognizer.batches)
        between = await jobs.get(job.id)
        held.released.set()
        await runner_of(local, clients, summarizer=held).run(job.id, Work.TRANSCRIBE)
    assert (between.state, between.step) == (JobState.QUEUED, None)
    assert (sum(recognizer.batches), held.calls) == (heard, 2)
    assert (await jobs.get(job.id)).summary == WRITTEN


async def test_summary_is_not_repeated_when_later_work_is(local: JobDatabase) -> None:
    held = Held()
    held.released.set()
    options = JobOptions(summarize=True, speakers=ANY_NUMBER)
    async with working(local, TimedRecognizer(), speakers=Failing(), summarizer=held) as jobs:
        done = await ended(jobs, await uploaded(jobs, wav(DIALOGUE), options))
        found = await jobs.transcript(done.id)
    assert (done.state, done.summary, held.calls) == (JobState.SUCCEEDED, WRITTEN, 1)
    assert {segment.speaker for segment in found.segments} == {"A", "B"}


async def test_redacted_text_is_not_in_the_summary(local: JobDatabase) -> None:
    options = JobOptions(summarize=True, text=TextOptions(redact=("pci",)))
    with chat_server(lambda request: says(request["messages"][1]["content"])) as served:
        summarizer = Summarizer(SummaryEndpoint(served.url, "small"))
        async with working(local, Card(), summarizer=summarizer) as jobs:
            done = await ended(jobs, await uploaded(jobs, wav(TALK), options))
    assert done.summary is not None
    assert "My card is" in done.summary.text
    assert "4111" not in done.summary.text


def test_expired_job_keeps_no_summary(local: JobDatabase) -> None:
    time = [0.0]
    store = JobStore(local.engine, local.queue, retention_seconds=10, max_unfinished=9, now=lambda: time[0])
    source = JobSource(name="a", audio="00-1", size=1)
    options = JobOptions(summarize=True, callback="https://example.org/")
    job = store.submit(NewJob("ann", source, options))[0]
    run = store.begin(job.id, JobState.TRANSCRIBING)
    assert run is not None
    store.report(run, summary='{"text": "a secret", "method": "extractive"}')
    store.succeed(run)
    time[0] = 11.0
    assert store.purge().count == 1
    with local.engine.connect() as connection:
        assert "secret" not in str(connection.exec_driver_sql("SELECT * FROM stt_jobs").all())


async def test_chapters_are_stored_with_the_text(local: JobDatabase) -> None:
    async with working(local, summarizer=Held()) as jobs:
        done = await ended(jobs, await uploaded(jobs, wav(TALK), JobOptions(chapters=True)))
        found = await jobs.transcript(done.id)
    second = found.segments[1].start / 16_000
    assert done.chapters == Chapters((Chapter(second, "Later"),), "small")
    assert (done.summary, done.step) == (None, None)
