"""Test what a server says about jobs that it cannot keep."""

from pathlib import Path

import pytest

from tests import plain_http
from tests.server.job_requests import submit
from tests.server.live_server import free_settings, serve
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


def test_a_folder_that_cannot_be_used_is_reported_until_it_can(tmp_path: Path) -> None:
    obstacle = tmp_path / "mount"
    obstacle.write_text("a file")
    folder = obstacle / "data"
    with serve(free_settings(data_dir=str(folder)), wait_until_ready=False) as server:

        def troubles() -> list[dict[str, str]]:
            found: list[dict[str, str]] = plain_http.get(f"{server.url}/ready").json()["troubles"]
            return found

        wait_until(lambda: bool(troubles()))
        [trouble] = troubles()
        assert trouble["name"] == "jobs"
        assert str(folder) in trouble["why"]
        obstacle.unlink()
        wait_until(lambda: not troubles())
        assert submit(server)["status"] == "queued"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.glob("jobs.db*")}["jobs.db"] == 0o600


def test_a_server_without_jobs_makes_no_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with serve(free_settings(data_dir=str(folder))) as server:
        assert plain_http.get(f"{server.url}/ready").json()["troubles"] == []
    assert not folder.exists()
