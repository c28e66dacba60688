"""Test a process that works on the jobs of a server."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs.databases import Postgres, running_postgres
from tests.server.job_requests import ask, ended, submit
from tests.server.live_server import ROOT, free_settings, serve
from tests.server.server_process import program
from tests.waiting import wait_until

WORKER = (sys.executable, str(ROOT / "main.py"), "worker")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_worker_does_the_jobs_of_a_server(tmp_path: Path, kind: str, request: pytest.FixtureRequest) -> None:
    url = "" if kind == "sqlite" else request.getfixturevalue("postgres").new_database()
    settings = free_settings(data_dir=str(tmp_path), database_url=url, jobs_at_once=0)
    with serve(settings, wait_until_ready=False) as server:
        job = submit(server)
        alive = tmp_path / "alive"
        shared = {"DATA_DIR": str(tmp_path), "DATABASE_URL": url, "ASR_WORKER": "thread"}
        with program(WORKER, **shared, WORKER_ALIVE_FILE=str(alive)) as worker:
            wait_until(lambda: "worker.ready" in worker.log)
            assert ended(server, job)["status"] == "succeeded"
            assert alive.exists()
            later = submit(server)
            assert ended(server, later)["status"] == "succeeded"
            assert worker.stop(signal.SIGTERM) == 0
            assert "worker.stopping" in worker.log
        assert ask(server, "GET", f"/{submit(server)['id']}").json()["status"] == "queued"


def test_worker_tries_again_until_the_database_answers(tmp_path: Path, postgres: Postgres) -> None:
    url = postgres.new_database()
    postgres.stop()
    started = False
    try:
        with program(WORKER, DATA_DIR=str(tmp_path), DATABASE_URL=url, ASR_WORKER="thread") as worker:
            wait_until(lambda: "jobs.unavailable" in worker.log)
            postgres.start()
            started = True
            wait_until(lambda: "worker.ready" in worker.log)
            assert worker.stop(signal.SIGINT) == 0
    finally:
        if not started:
            postgres.start()


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({"DATA_DIR": ""}, "DATA_DIR is empty"),
        ({"JOBS_AT_ONCE": "0"}, "JOBS_AT_ONCE=0"),
    ],
)
def test_settings_without_work_end_it_with_2(environment: dict[str, str], text: str) -> None:
    with program(WORKER, **environment) as worker:
        assert worker.exit_status() == 2
        assert text in worker.log


def test_model_that_cannot_be_loaded_ends_it_with_1(tmp_path: Path) -> None:
    with program(WORKER, DATA_DIR=str(tmp_path), ASR_MODEL="/no/such/model") as worker:
        assert worker.exit_status() == 1
        assert "worker.failed" in worker.log
