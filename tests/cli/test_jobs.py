"""The commands that use jobs of a server."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.__main__ import main
from tests.cli.running import command
from tests.server.job_requests import ALICE, ask
from tests.server.live_server import ROOT, Server, free_settings, serve
from tests.server.server_process import free_port

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


def test_submit_passes_every_option_on(server: Server, capsys: Captured) -> None:
    chosen = (
        "--redact",
        "email_address",
        "aggressive_numbers",
        "--profanity-filter",
        "--start",
        "1",
        "--end",
        "5",
        "--multichannel",
        "--summarize",
    )
    address = "https://example.org/done"
    (job,) = submitted(server, capsys, WAV, *chosen, "--callback", address, "--metadata", "mine")
    assert jobs(server, "wait", job) == 0
    text = capsys.readouterr().out
    assert "[NUMBER" in text
    assert text.startswith("A: ")
    assert jobs(server, "wait", job, "--format", "md") == 0
    assert "## Summary\n\nw\\[NUMBER" in capsys.readouterr().out
    assert jobs(server, "show", job) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["progress"]["seconds_total"], shown["metadata"]) == (4.0, "mine")
    assert shown["callback"] is not None
    for bounds in (("3", "2"), ("0", "1")):
        wrong = ("--min-speakers", bounds[0], "--max-speakers", bounds[1])
        assert jobs(server, "submit", WAV, *wrong) == 2
        assert "_speakers" in capsys.readouterr().err


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
    assert main(["jobs", "list", "--url", server.url, "--key", "a-wrong-key-of-nobody"]) == 2
    assert "The server does not accept this API key. Set STT_API_KEY" in capsys.readouterr().err
    assert main(["jobs", "list", "--url", server.url]) == 2
    assert "The server requires an API key. Set STT_API_KEY" in capsys.readouterr().err


def test_submit_goes_on_after_a_missing_file(server: Server, capsys: Captured) -> None:
    missing = "stt: /no/such/file.wav: No such file or directory"
    assert jobs(server, "submit", WAV, "/no/such/file.wav", WAV, "--end", "0.2") == 3
    told = capsys.readouterr()
    assert len(told.out.split()) == 2
    assert told.err.splitlines() == [missing]
    assert jobs(server, "submit", WAV, "/no/such/file.wav", WAV, "--wait") == 3
    told = capsys.readouterr()
    assert told.out.count("w1 w2") == 2
    first, problem, second = told.err.splitlines()
    assert problem == missing
    ids = [line.removeprefix(f"stt: {WAV}: submitted as ") for line in (first, second)]
    assert jobs(server, "delete", *ids) == 0


def test_submit_goes_on_after_a_refused_source(server: Server, capsys: Captured) -> None:
    refused = "http://"
    assert jobs(server, "submit", refused, WAV) == 2
    told = capsys.readouterr()
    assert len(told.out.split()) == 1
    (line,) = told.err.splitlines()
    assert line.startswith(f"stt: {refused}: ")
    assert jobs(server, "submit", refused, "/no/such/file.wav") == 1


def test_submit_gives_up_where_every_file_would_fail(server: Server, capsys: Captured) -> None:
    assert main(["jobs", "submit", WAV, "b.wav", "--url", server.url, "--key", "a-wrong-key-of-nobody"]) == 2
    *files, _, hint = capsys.readouterr().err.splitlines()
    assert files == [f"stt: {WAV}: not submitted", "stt: b.wav: not submitted"]
    assert "Set STT_API_KEY" in hint


@pytest.mark.slow
def test_submit_without_a_server_tries_one_file(capsys: Captured) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert main(["jobs", "submit", WAV, "b.wav", "--url", url]) == 2
    *files, reason = capsys.readouterr().err.splitlines()
    assert files == [f"stt: {WAV}: not submitted", "stt: b.wav: not submitted"]
    assert f"The server at {url} does not answer: " in reason


@pytest.mark.parametrize("url", ["foo://", "localhost:5001", "http://", "http://a:b", "http://[a"])
def test_address_that_is_none_is_named(capsys: Captured, url: str) -> None:
    assert main(["jobs", "list", "--url", url]) == 2
    assert f"{url!r} is no address of a server, such as http://localhost:5001." in capsys.readouterr().err


@pytest.mark.slow
def test_server_is_found_where_the_environment_says(server: Server) -> None:
    port = server.url.rpartition(":")[2]
    listed = command("jobs", "list", HOST="127.0.0.1", PORT=port, API_KEYS=f"alice:{ALICE}")
    assert (listed.returncode, listed.stderr) == (0, "")


@pytest.mark.slow
def test_address_without_a_server_is_named() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    tried = command("jobs", "list", HOST="127.0.0.1", PORT=url.rpartition(":")[2])
    assert tried.returncode == 2
    assert f"The server at {url} does not answer: " in tried.stderr


@pytest.mark.slow
def test_reader_that_stops_is_no_error(server: Server, capsys: Captured) -> None:
    submitted(server, capsys, WAV, "--end", "0.2")
    listing = f"{sys.executable} -m cli jobs list --url {server.url} --key {ALICE}"
    # The pipe has no reader any more when the first line is written.
    ended = subprocess.run(
        ["bash", "-c", f"{listing} | true; exit ${{PIPESTATUS[0]}}"], cwd=ROOT, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (1, "")
