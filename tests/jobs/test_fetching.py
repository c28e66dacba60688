"""The audio of a job is downloaded from an address."""

import asyncio
import ipaddress
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

import pytest

from downloads.errors import DownloadError
from downloads.network import Network
from downloads.public_addresses import Address
from jobs.errors import JobFailure, TransientFailure
from jobs.fetching import Fetcher, failure_of
from jobs.job import Job, JobSource, JobState, NewJob
from jobs.options import JobsOptions
from jobs.runner import MAX_RETRY_AFTER, Progress, seconds_before_retry
from jobs.service import JobDatabase, Jobs
from tests.downloads.web_servers import answer, answering, ok, onward, site
from tests.jobs.working import TALK, ended, working
from tests.server.asgi_calls import wav
from tests.waiting import until

FETCHER = Fetcher(max_bytes=1 << 20, private=True)


async def submitted(jobs: Jobs, url: str) -> Job:
    job, _ = await jobs.submit(NewJob("ann", JobSource(url=url)))
    return job


def code_of(job: Job) -> str:
    assert job.problem is not None
    return job.problem.code


async def test_url_is_downloaded_and_transcribed(database: JobDatabase) -> None:
    talk = wav(TALK)
    async with working(database, fetch=FETCHER) as jobs, answering(ok(talk)) as (url, heard):
        done = await ended(jobs, await submitted(jobs, f"{url}/my%20talk.wav?key=1"))
        assert done.problem is None
        assert (done.state, done.source.name) == (JobState.SUCCEEDED, "my talk.wav")
        assert (done.source.size, done.seconds_done) == (len(talk), 5.0)
        assert len((await jobs.transcript(done.id)).segments) == 2
    assert len(heard) == 1


async def test_missing_file_fails_at_once(database: JobDatabase) -> None:
    async with working(database, fetch=FETCHER) as jobs, answering(answer(404)) as (url, heard):
        done = await ended(jobs, await submitted(jobs, url))
    assert (done.state, code_of(done), len(heard)) == (JobState.FAILED, "fetch_failed", 1)


async def test_unavailable_file_is_tried_again(database: JobDatabase) -> None:
    async with (
        working(database, fetch=FETCHER) as jobs,
        answering(answer(503), b"", ok(wav(TALK))) as (url, heard),
    ):
        done = await ended(jobs, await submitted(jobs, url))
    assert (done.state, done.problem, len(heard)) == (JobState.SUCCEEDED, None, 3)


@pytest.mark.parametrize(("asked", "waited"), [(None, 4.0), (0.0, 4.0), (7.0, 7.0), (1e6, MAX_RETRY_AFTER)])
def test_next_try_waits_as_the_sender_asks(asked: float | None, waited: float) -> None:
    assert seconds_before_retry(4.0, asked) == waited
    failure = failure_of(DownloadError("busy", is_transient=True, retry_after=asked))
    assert isinstance(failure, TransientFailure)
    assert failure.retry_after == asked


async def test_file_that_stays_unavailable_fails(database: JobDatabase) -> None:
    async with working(database, fetch=FETCHER) as jobs, answering(*[answer(503)] * 3) as (url, heard):
        done = await ended(jobs, await submitted(jobs, url))
    assert (done.state, code_of(done), len(heard)) == (JobState.FAILED, "fetch_failed", 3)
    assert done.problem is not None
    assert "503" in done.problem.message


async def test_refused_address_fails_at_once(database: JobDatabase) -> None:
    guarded = Fetcher(max_bytes=1 << 20, private=False)
    async with working(database, fetch=guarded) as jobs, answering(ok(wav(TALK))) as (url, heard):
        done = await ended(jobs, await submitted(jobs, url))
    assert (done.state, code_of(done), heard) == (JobState.FAILED, "invalid_url", [])


async def test_redirect_into_the_network_inside_fails(database: JobDatabase) -> None:
    outside, inside = ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("127.0.0.2")

    async def names(host: str, port: int) -> Sequence[Address]:
        return [outside if host == "outside.test" else inside]

    network = Network(resolve=names, is_public=lambda address: address == outside)
    guarded = Fetcher(max_bytes=1 << 20, private=False, network=network)
    async with (
        working(database, fetch=guarded) as jobs,
        answering(ok(wav(TALK)), host=str(inside)) as (secret, heard),
        answering(onward(f"http://inside.test:{secret.rpartition(':')[2]}/")) as (url, _),
    ):
        done = await ended(jobs, await submitted(jobs, f"http://outside.test:{url.rpartition(':')[2]}/"))
    assert (done.state, code_of(done), heard) == (JobState.FAILED, "invalid_url", [])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (ok(b"x" * 101), "file_too_large"),
        (answer(200, b"<p>", content_type="text/html"), "not_audio"),
        (ok(b"no sound"), "invalid_audio"),
    ],
)
async def test_unusable_file_fails_at_once(database: JobDatabase, content: bytes, code: str) -> None:
    fetcher = Fetcher(max_bytes=100, private=True)
    async with working(database, fetch=fetcher) as jobs, answering(content) as (url, heard):
        done = await ended(jobs, await submitted(jobs, url))
    assert (done.state, code_of(done), len(heard)) == (JobState.FAILED, code, 1)


async def test_url_fails_where_downloads_are_off(database: JobDatabase) -> None:
    async with working(database) as jobs:
        done = await ended(jobs, await submitted(jobs, "http://example.org/talk.wav"))
    assert code_of(done) == "fetch_disabled"


async def test_full_storage_fails_the_download(options: JobsOptions) -> None:
    with closing(JobDatabase(replace(options, max_audio_bytes=0))) as database:
        async with working(database, fetch=FETCHER) as jobs, answering() as (url, heard):
            done = await ended(jobs, await submitted(jobs, url))
    assert (code_of(done), heard) == ("storage_full", [])


async def test_progress_of_a_download_is_stored(database: JobDatabase) -> None:
    rest = asyncio.Event()
    talk = wav(TALK)

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(talk)}\r\n\r\n".encode() + talk[:1000])
        await rest.wait()
        writer.write(talk[1000:])
        writer.close()

    async with (
        working(database, fetch=FETCHER) as jobs,
        await asyncio.start_server(trickle, "127.0.0.1", 0) as server,
    ):
        job = await submitted(jobs, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        await until(lambda: database.store.get(job.id).bytes_done == 1000)
        found = await jobs.get(job.id)
        assert (found.state, found.bytes_total) == (JobState.FETCHING, len(talk))
        rest.set()
        done = await ended(jobs, job)
    assert (done.state, done.bytes_done, done.bytes_total) == (JobState.SUCCEEDED, len(talk), len(talk))


async def test_fetcher_yields_nothing_of_a_refused_address() -> None:
    with pytest.raises(JobFailure, match="http"):
        async with FETCHER("ftp://example.org/a.wav", Progress().on_bytes):
            raise AssertionError


PAGE = answer(
    200, b'<html><title>My talk</title><video src="talk.wav"></video></html>', content_type="text/html"
)


async def test_page_is_refused_with_the_setting_to_change(database: JobDatabase) -> None:
    async with working(database, fetch=FETCHER) as jobs, answering(PAGE) as (url, _):
        done = await ended(jobs, await submitted(jobs, url))
    assert code_of(done) == "not_audio"
    assert done.problem is not None
    assert "FETCH_VIDEO_SITES=true" in done.problem.message


@pytest.mark.slow
async def test_recording_of_a_page_is_transcribed(database: JobDatabase) -> None:
    pytest.importorskip("yt_dlp")
    fetcher = Fetcher(max_bytes=1 << 20, private=True, video_seconds=60)
    pages = {"/": PAGE, "/talk.wav": answer(200, wav(TALK), content_type="audio/wav")}
    async with working(database, fetch=fetcher) as jobs, site(pages) as (url, _):
        done = await ended(jobs, await submitted(jobs, f"{url}/"))
    assert (done.state, done.source.name, done.seconds_done) == (JobState.SUCCEEDED, "My talk (1).wav", 5.0)
