"""The end of a job is reported to the address that its client gave."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest

from asr.recognizer import Hypothesis
from downloads.network import Network
from jobs.callbacks import CallbackFormat, CallbackSender, Payload, secret_bytes, signature
from jobs.errors import JobNotFound
from jobs.job import CallbackState, Job, JobOptions, JobProblem, JobSource, JobState, JobTranscript, NewJob
from jobs.service import JobDatabase, Jobs
from jobs.store import CALLBACK_SECONDS, JobStore
from tests.downloads.web_servers import answer, answering, onward
from tests.jobs.working import TALK, ended, uploaded, working
from tests.server.asgi_calls import wav
from tests.streaming.working_models import HeldRecognizer
from tests.waiting import until
from transcripts.transcript import TranscriptSegment

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
KEY = secret_bytes(SECRET)
OK = answer(204)
SEGMENT = TranscriptSegment(0, 9, Hypothesis("so it is"))


def sender(database: JobDatabase, **changes: object) -> CallbackSender:
    found = CallbackSender(database.callbacks, secret=KEY, private=True, delays=(0.01, 0.01))
    return replace(found, **changes)  # type: ignore[arg-type]


def ended_job(
    database: JobDatabase,
    url: str,
    end: Callable[[JobStore, Job], None] | None = None,
    protocol: str = "native",
    store: JobStore | None = None,
) -> Job:
    """Submit a job with a callback and end it."""
    store = store or database.store
    options = JobOptions(callback=url, metadata="mine")
    job, _ = store.submit(
        NewJob("ann", JobSource(name="a", audio="00-1", size=1), options, protocol=protocol)
    )
    if end is not None:
        end(store, job)
    else:
        run = store.begin(job.id, JobState.TRANSCRIBING)
        assert run is not None
        store.complete_part(run, 0, 10, [SEGMENT], 0.1)
        store.succeed(run)
    return job


def field(request: str, name: str) -> str:
    lines = request.partition("\r\n\r\n")[0].split("\r\n")[1:]
    return {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines}[name]


def body(request: str) -> str:
    return request.partition("\r\n\r\n")[2]


async def test_example_of_the_specification_is_signed_alike() -> None:
    key = secret_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    content = b'{"test": 2432232314}'
    expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, content) == expected


async def test_success_is_reported_and_signed(database: JobDatabase) -> None:
    async with answering(OK) as (url, heard):
        job = ended_job(database, f"{url}/done?x=1")
        await sender(database).deliver(job.id, 0)
    (request,) = heard
    assert request.startswith("POST /done?x=1 HTTP/1.1\r\n")
    event = orjson.loads(body(request))
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "type": "job.succeeded",
        "version": 1,
        "data": {
            "id": job.id,
            "status": "succeeded",
            "error": None,
            "metadata": "mine",
            "transcript": f"/v1/jobs/{job.id}/transcript",
        },
    }
    signed = f"{field(request, 'webhook-id')}.{field(request, 'webhook-timestamp')}.{body(request)}"
    digest = base64.b64encode(hmac.digest(b"k" * 32, signed.encode(), hashlib.sha256)).decode()
    assert field(request, "webhook-signature") == f"v1,{digest}"
    assert database.store.get(job.id).callback is CallbackState.DELIVERED
    (delivery,) = await Jobs(database).deliveries(job.id, "ann")
    assert (delivery.number, delivery.status, delivery.error) == (0, 204, None)


def fail(store: JobStore, job: Job) -> None:
    run = store.begin(job.id, JobState.TRANSCRIBING)
    assert run is not None
    store.fail(run, JobProblem("invalid_audio", "no sound"))


@pytest.mark.parametrize(
    ("end", "status", "error"),
    [
        (fail, "failed", {"code": "invalid_audio", "message": "no sound"}),
        (lambda store, job: store.cancel(job.id), "cancelled", None),
    ],
)
async def test_other_ends_are_reported(
    database: JobDatabase, end: Callable[[JobStore, Job], None], status: str, error: object
) -> None:
    async with answering(OK) as (url, heard):
        job = ended_job(database, url, end)
        await sender(database).deliver(job.id, 0)
    event = orjson.loads(body(heard[0]))
    assert (event["type"], event["data"]["status"]) == (f"job.{status}", status)
    assert (event["data"]["error"], event["data"]["transcript"]) == (error, None)


async def test_report_without_a_secret_has_no_signature(database: JobDatabase) -> None:
    async with answering(OK) as (url, heard):
        await sender(database, secret=None).deliver(ended_job(database, url).id, 0)
    assert "webhook-signature" not in heard[0]
    assert field(heard[0], "webhook-id").startswith("msg_")


async def test_failed_report_is_sent_again_with_the_same_id(database: JobDatabase) -> None:
    """From end to end: the runner ends the job, the worker sends the callback."""
    async with (
        answering(answer(500), onward("http://127.0.0.1:1/"), OK) as (url, heard),
        working(database, callbacks=sender(database)) as jobs,
    ):
        job = await uploaded(jobs, wav(TALK), JobOptions(callback=url))
        assert (await ended(jobs, job)).state is JobState.SUCCEEDED
        await until(lambda: database.store.get(job.id).callback is CallbackState.DELIVERED)
        deliveries = await jobs.deliveries(job.id)
    assert [delivery.status for delivery in deliveries] == [500, 302, 204]
    assert len({field(request, "webhook-id") for request in heard}) == 1


async def test_report_is_given_up_after_the_last_try(database: JobDatabase) -> None:
    async with answering(*[answer(404)] * 3) as (url, _):
        job = ended_job(database, url)
        for number in range(3):
            await sender(database).deliver(job.id, number)
    assert database.store.get(job.id).callback is CallbackState.FAILED
    assert [each.status for each in database.callbacks.deliveries(job.id)] == [404] * 3


async def test_receiver_that_is_gone_gets_no_further_try(database: JobDatabase) -> None:
    async with answering(answer(410)) as (url, _):
        job = ended_job(database, url)
        await sender(database).deliver(job.id, 0)
    assert database.store.get(job.id).callback is CallbackState.FAILED


async def test_report_to_a_private_address_is_refused(database: JobDatabase) -> None:
    async with answering(OK) as (url, heard):
        job = ended_job(database, url)
        await sender(database, private=False).deliver(job.id, 0)
    assert heard == []
    (delivery,) = database.callbacks.deliveries(job.id)
    assert (delivery.status, "private network" in str(delivery.error)) == (None, True)
    assert database.store.get(job.id).callback is CallbackState.FAILED


async def test_receiver_that_does_not_answer_is_asked_again(database: JobDatabase) -> None:
    over = asyncio.Event()

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    async with await asyncio.start_server(stall, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        job = ended_job(database, url)
        await sender(database, network=Network(idle_seconds=0.05)).deliver(job.id, 0)
        over.set()
    (delivery,) = database.callbacks.deliveries(job.id)
    assert (delivery.status, delivery.error) == (None, "It did not come in time.")
    assert database.store.get(job.id).callback is CallbackState.PENDING


async def test_try_that_was_made_is_not_repeated(database: JobDatabase) -> None:
    async with answering(answer(500), OK) as (url, heard):
        job = ended_job(database, url)
        await sender(database).deliver(job.id, 0)
        await sender(database).deliver(job.id, 0)
        assert len(heard) == 1
        await sender(database).deliver(job.id, 1)
    assert len(heard) == 2


async def test_protocol_decides_the_shape_of_its_report(database: JobDatabase) -> None:
    def render(transcript: JobTranscript) -> Payload:
        return Payload(" ".join(each.hypothesis.text for each in transcript.segments).encode(), "text/plain")

    formats = {"deepgram": CallbackFormat(render, needs_text=True)}
    async with answering(OK, OK) as (url, heard):
        for protocol in ("deepgram", "native"):
            job = ended_job(database, url, protocol=protocol)
            await sender(database, formats=formats).deliver(job.id, 0)
    assert (body(heard[0]), field(heard[0], "content-type")) == ("so it is", "text/plain")
    assert field(heard[1], "content-type") == "application/json"


async def test_cancelled_job_keeps_its_report(database: JobDatabase) -> None:
    held = HeldRecognizer()
    async with (
        answering(OK) as (url, heard),
        working(database, held, callbacks=sender(database)) as jobs,
    ):
        job = await uploaded(jobs, wav(TALK), JobOptions(callback=url))
        await until(lambda: database.store.get(job.id).state is JobState.TRANSCRIBING)
        await jobs.cancel(job.id)
        held.gate.set()
        await until(lambda: database.store.get(job.id).callback is CallbackState.DELIVERED)
    assert orjson.loads(body(heard[0]))["type"] == "job.cancelled"


async def test_deleted_job_is_not_reported(database: JobDatabase) -> None:
    async with answering() as (url, heard):
        job = ended_job(database, url)
        await Jobs(database).delete(job.id)
        await sender(database).deliver(job.id, 0)
    assert heard == []


async def test_expired_job_is_reported_without_its_text(database: JobDatabase) -> None:
    clock = [1_000.0]
    store = JobStore(
        database.engine, database.queue, retention_seconds=60, max_unfinished=9, now=lambda: clock[0]
    )

    def never(transcript: JobTranscript) -> Payload:
        raise AssertionError

    formats = {"deepgram": CallbackFormat(never, needs_text=True)}
    async with answering(OK) as (url, heard):
        native, text = (
            ended_job(database, url, protocol=name, store=store) for name in ("native", "deepgram")
        )
        clock[0] += 61
        removed = store.purge()
        assert (removed.jobs, len(removed.audio), removed.count) == ((), 2, 2)
        assert store.purge().count == 0
        for read in (store.get, store.cancel, store.delete):
            with pytest.raises(JobNotFound):
                read(native.id)
        assert (store.find("ann", limit=9), store.parts(native.id)) == ([], [])
        for job in (native, text):
            await sender(database, formats=formats).deliver(job.id, 0)
    assert orjson.loads(body(heard[0]))["data"]["metadata"] == "mine"
    assert "deleted" in str(database.callbacks.deliveries(text.id)[0].error)
    assert set(store.purge().jobs) == {native.id, text.id}


async def test_report_that_stays_pending_expires(database: JobDatabase) -> None:
    clock = [1_000.0]
    store = JobStore(
        database.engine, database.queue, retention_seconds=60, max_unfinished=9, now=lambda: clock[0]
    )
    job = ended_job(database, "http://127.0.0.1:1/", store=store)
    clock[0] += CALLBACK_SECONDS + 1
    assert store.purge().jobs == (job.id,)
