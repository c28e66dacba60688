"""The Python client of jobs, with a real server."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.jobs import TRIES, Job, JobsClient, JobsError
from tests.server.live_server import ROOT, Server, free_settings, serve
from tests.server.server_process import MAIN, free_port, program

WAV = ROOT / "test.wav"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(free_settings(data_dir=str(tmp_path_factory.mktemp("jobs")))) as running:
        yield running


@pytest.fixture
def jobs(server: Server) -> Iterator[JobsClient]:
    with JobsClient(server.url) as client:
        yield client


def test_file_is_submitted_waited_for_and_read(jobs: JobsClient) -> None:
    seen: list[Job] = []
    job = jobs.submit(WAV, language="en", hotwords=["Ada", "Grace"], start=0.5)
    done = jobs.wait(job["id"], seen.append)
    assert (done["status"], seen[-1]) == ("succeeded", done)
    assert jobs.get(job["id"]) == done
    assert jobs.transcript(job["id"]).startswith("w1 w2")
    assert json.loads(jobs.transcript(job["id"], "json"))["status"] == "succeeded"


def test_listing_reads_all_pages(jobs: JobsClient) -> None:
    ids = {jobs.submit(WAV, end=0.2)["id"] for _ in range(3)}
    assert ids <= {job["id"] for job in jobs.find()}
    assert ids.isdisjoint(job["id"] for job in jobs.find("cancelled"))


@pytest.mark.slow
def test_example_of_many_files_gives_a_text_for_each(server: Server, tmp_path: Path) -> None:
    (example,) = re.findall(
        r"## Many files\n.+?```python\n(.+?)```", (ROOT / "docs/jobs.md").read_text(), re.S
    )
    talks = tmp_path / "talks"
    talks.mkdir()
    for name in ("a.mp3", "b.mp3"):
        (talks / name).write_bytes(WAV.read_bytes())
    command = [sys.executable, "-c", example.replace("http://localhost:5001", server.url)]
    for _ in range(2):  # The second run finds the jobs of the first one.
        subprocess.run(
            command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True, timeout=60
        )
        for name in ("a.srt", "b.srt"):
            assert " --> " in (talks / name).read_text()
            (talks / name).unlink()
    with JobsClient(server.url) as jobs:
        names = [job["source"]["name"] for job in jobs.find() if job["source"]["name"] in ("a.mp3", "b.mp3")]
    assert sorted(names) == ["a.mp3", "b.mp3"]


def test_same_idempotency_key_gives_the_same_job(jobs: JobsClient) -> None:
    first, again = (jobs.submit(WAV, idempotency_key="k", end=0.2) for _ in range(2))
    assert first["id"] == again["id"]


def test_ended_job_is_not_cancelled_but_deleted(jobs: JobsClient) -> None:
    job = jobs.wait(jobs.submit(WAV, end=0.2)["id"])
    assert jobs.cancel(job["id"])["status"] == "succeeded"
    jobs.delete(job["id"])
    for read in (jobs.get, jobs.wait, jobs.delete, jobs.transcript):
        with pytest.raises(JobsError) as missing:
            read(job["id"])
        assert (missing.value.status, missing.value.code) == (404, "job_not_found")


def test_refusal_names_its_code(jobs: JobsClient) -> None:
    with pytest.raises(JobsError, match="klingonese") as refused:
        jobs.submit(WAV, language="klingonese")
    assert (refused.value.status, refused.value.code) == (400, "invalid_language_format")


def test_absent_server_is_asked_several_times() -> None:
    waits: list[float] = []
    address = f"http://127.0.0.1:{free_port()}"
    with (
        JobsClient(address, sleep=waits.append) as jobs,
        pytest.raises(JobsError, match="does not answer"),
    ):
        jobs.submit(WAV)
    assert waits == [1.0] * (TRIES - 1)


@pytest.mark.slow
def test_wait_goes_on_after_a_restart_of_the_server(tmp_path: Path) -> None:
    port = str(free_port())
    settings = {"DATA_DIR": str(tmp_path), "PORT": port, "ASR_WORKER": "thread"}
    with program(MAIN, **settings, JOBS_AT_ONCE="0") as first, JobsClient(f"http://127.0.0.1:{port}") as jobs:
        assert first.ready()["ready"]
        job = jobs.submit(WAV)
        states: list[str] = []

        def stop_the_first(change: Job) -> None:
            states.append(change["status"])
            if len(states) == 1:
                first.stop()
                second.__enter__()

        second = program(MAIN, **settings)
        try:
            assert jobs.wait(job["id"], stop_the_first)["status"] == "succeeded"
        finally:
            second.__exit__(None, None, None)
    assert states[0] == "queued"
