"""The commands that use jobs of a server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.__main__ import main
from tests.server.job_requests import ALICE, ask
from tests.server.live_server import ROOT, Server, free_settings, serve

WAV = str(ROOT / "test.wav")

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("jobs")
    with serve(free_settings(data_dir=str(folder), api_keys=f"alice:{ALICE}")) as running:
        # DBOS keeps the stderr of its import, which must not be one that a test captures.
        ask(running, "GET")
        yield running


def jobs(server: Server, command: str, *arguments: str) -> int:
    return main(["jobs", command, *arguments, "--url", server.url, "--key", ALICE])


def submitted(server: Server, capsys: Captured, *arguments: str) -> list[str]:
    assert jobs(server, "submit", *arguments) == 0
    return capsys.readouterr().out.split()


def test_job_is_submitted_waited_for_listed_and_deleted(server: Server, capsys: Captured) -> None:
    first, second = submitted(server, capsys, WAV, WAV, "--language", "en", "--hotwords", "Ada,Grace")
    assert jobs(server, "wait", first, second, "--format", "srt") == 0
    assert capsys.readouterr().out.count("w1 w2") == 2
    assert jobs(server, "list", "--status", "succeeded") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [second, first]
    assert "12 of 12 s" in lines[0]
    assert "test.wav" in lines[0]
    assert jobs(server, "show", first) == 0
    assert json.loads(capsys.readouterr().out)["id"] == first
    assert jobs(server, "delete", first, second) == 0
    assert jobs(server, "show", first) == 2
    assert "There is no job" in capsys.readouterr().err


def test_submit_can_wait_for_the_text(server: Server, capsys: Captured) -> None:
    assert jobs(server, "submit", WAV, "--wait") == 0
    assert capsys.readouterr().out.startswith("w1 w2")


def test_failed_job_is_reported(server: Server, capsys: Captured, tmp_path: Path) -> None:
    (tmp_path / "noise.bin").write_bytes(b"no sound at all")
    assert jobs(server, "submit", str(tmp_path / "noise.bin"), "--wait") == 1
    assert "failed:" in capsys.readouterr().err


def test_ended_job_cannot_be_cancelled(server: Server, capsys: Captured) -> None:
    (job,) = submitted(server, capsys, WAV)
    jobs(server, "wait", job)
    assert jobs(server, "cancel", job) == 1
    assert "has ended already: succeeded" in capsys.readouterr().err


def test_problems_are_reported_without_a_traceback(server: Server, capsys: Captured) -> None:
    assert jobs(server, "submit", "/no/such/file.wav") == 2
    assert "/no/such/file.wav" in capsys.readouterr().err
    assert main(["jobs", "list", "--url", server.url, "--key", "a-wrong-key-of-nobody"]) == 2
    assert "key" in capsys.readouterr().err
