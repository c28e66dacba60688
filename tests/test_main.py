"""Test main.py as a process: its port and its exit status."""

import socket
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import trustme

from tests import plain_http
from tests.server.live_server import ROOT, Client, dones, first_sentence
from tests.server.server_process import MAIN, UVICORN, free_port, program
from tests.waiting import wait_until


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(
        command, cwd=ROOT, env={"PATH": "", **environment}, capture_output=True, text=True, timeout=60
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", [MAIN, (*UVICORN, "0")], ids=["main", "uvicorn"])
def test_a_bad_setting_is_named_without_a_traceback_and_ends_it_with_2(command: tuple[str, ...]) -> None:
    ended = run(*command, MAX_SESSIONS="many", VAD_THRESHOLD="7")
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert sorted(ended.stderr.splitlines()) == [
        "MAX_SESSIONS=many: it must be a whole number",
        "VAD_THRESHOLD=7: it must be at most 1",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [MAIN, (*MAIN, "worker"), (*UVICORN, "0")], ids=["main", "worker", "uvicorn"]
)
def test_settings_that_contradict_are_refused_without_secrets(command: tuple[str, ...]) -> None:
    ended = run(*command, SUMMARY_URL="http://x", SUMMARY_API_KEY="sk-s3cr3t", TOKEN_SECRET="s3cr3t" * 8)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines() == ["SUMMARY_URL needs SUMMARY_MODEL"]


@pytest.mark.slow
@pytest.mark.parametrize("command", [MAIN, (*UVICORN, "0")], ids=["main", "uvicorn"])
def test_old_name_of_a_setting_ends_it_with_2(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("guard_phantoms=false\nPORT=0\n")
    environment = {"PATH": "", "STOP_SECONDS": "3"}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines() == [
        "GUARD_PHANTOMS is no longer a setting: use HALLUCINATION_FILTER (docs/settings.md).",
        "STOP_SECONDS is no longer a setting: use SHUTDOWN_TIMEOUT_SECONDS (docs/settings.md).",
    ]


@pytest.mark.slow
def test_settings_file_that_is_no_text_ends_it_with_2(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("# König\nPORT=0\n".encode("latin-1"))
    ended = subprocess.run(MAIN, cwd=tmp_path, env={"PATH": ""}, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == ".env: this is no text in UTF-8\n"


@pytest.mark.slow
def test_a_misspelt_setting_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ORIGIN=http://a\n")
    code = "import main; main.read_settings()"
    environment = {"PATH": "", "PYTHONPATH": str(ROOT), "ASR_MODLE": "free"}
    ended = subprocess.run(
        (sys.executable, "-c", code),
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (0, "")
    assert ended.stderr.splitlines() == [
        "warning: .env: ORIGIN is no setting and is ignored (docs/settings.md). Did you mean ORIGINS?",
        "warning: ASR_MODLE is no setting and is ignored (docs/settings.md). Did you mean ASR_MODEL?",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--foo"], ["serve"], ["worker", "--foo"]])
def test_unknown_argument_is_refused(arguments: list[str]) -> None:
    ended = run(*MAIN, *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("usage: main.py")


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--help"], ["worker", "--help"]])
def test_help_is_given(arguments: list[str]) -> None:
    ended = run(*MAIN, *arguments)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "docs/settings.md" in ended.stdout


@pytest.mark.slow
def test_importing_it_builds_nothing() -> None:
    code = "import sys, main; print(sorted({'torch', 'fastapi', 'server'} & sys.modules.keys()))"
    assert run(sys.executable, "-c", code).stdout == "[]\n"


@pytest.mark.slow
def test_it_listens_where_the_environment_says() -> None:
    port = free_port()
    with program(HOST="127.0.0.1", PORT=str(port)) as server:
        assert server.ready()["ready"]
        assert f"http://127.0.0.1:{port}" in server.log
        with Client(f"ws://127.0.0.1:{port}/ws/stt") as client:
            client.talk(first_sentence())
            assert len(dones(client.end())) == 1
        assert server.stop() == 0


@pytest.mark.slow
def test_with_a_certificate_it_speaks_tls(tmp_path: Path) -> None:
    authority, pem = trustme.CA(), tmp_path / "server.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(pem))
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with program(SSL_CERTFILE=str(pem)) as server:
        wait_until(lambda: "engine.ready" in server.log, seconds=60)
        url = server.url.replace("http://127.0.0.1", "https://localhost")
        assert httpx.get(f"{url}/ready", verify=trust, timeout=60).json()["ready"]


@pytest.mark.slow
def test_model_that_cannot_load_exits_with_1(tmp_path: Path) -> None:
    with program(ASR_MODEL=str(tmp_path)) as server:
        assert server.exit_status() == 1
        assert f"engine.load_failed: {tmp_path} has no config.json" in server.log
        assert "Traceback" not in server.log


@pytest.mark.slow
def test_a_port_that_is_taken_ends_it_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = run(*MAIN, HOST="127.0.0.1", PORT=str(port), ASR_MODEL="free")
    assert (ended.returncode, ended.stdout) == (3, "")  # the status of uvicorn
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"PORT={port}: address already in use.")


@pytest.mark.slow
@pytest.mark.parametrize("place", ["thread", "process"])
def test_a_port_that_is_taken_ends_uvicorn(place: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        with program((*UVICORN[:-1], "--port", port), PORT=port, ASR_WORKER=place) as server:
            assert server.exit_status(60) == 3
            assert "address already in use" in server.log


INTERRUPTED_IMPORT = """
import os, runpy, signal, sys
class Finder:
    def find_spec(self, name, path, target=None):
        if name == "server.settings":
            os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
sys.meta_path.insert(0, Finder())
sys.argv = ["main.py", *sys.argv[1:]]
runpy.run_path("main.py", run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["worker"]])
def test_interrupt_during_imports_has_no_traceback(arguments: list[str]) -> None:
    ended = run(sys.executable, "-c", INTERRUPTED_IMPORT, *arguments)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


@pytest.mark.slow
def test_garbage_is_collected_once_the_server_runs(tmp_path: Path) -> None:
    code = "import atexit, gc, main; atexit.register(lambda: print(gc.isenabled())); main.main()"
    ended = run(sys.executable, "-c", code, HOST="127.0.0.1", PORT="0", ASR_MODEL=str(tmp_path))
    assert "engine.load_failed" in ended.stderr  # It ended after its start.
    assert ended.stdout.splitlines()[-1] == "True"


@pytest.mark.slow
@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_other_machines_need_keys_unless_configured(host: str) -> None:
    ended = run(*MAIN, HOST=host, PORT=str(free_port()))
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert "there are no API keys" in line
    assert "AUTH_WITHOUT_KEYS=everyone" in line


@pytest.mark.slow
@pytest.mark.parametrize("said", [{"API_KEYS": "0123456789abcdef"}, {"AUTH_WITHOUT_KEYS": "everyone"}])
def test_server_listens_for_other_machines_with_keys(said: dict[str, str]) -> None:
    with program(MAIN, HOST="0.0.0.0", ASR_WORKER="thread", **said) as server:
        assert server.ready()["ready"]


@pytest.mark.slow
def test_uvicorn_command_refuses_other_machines_without_keys() -> None:
    """A page whose host name was rebound to this address is another origin, too."""
    with program(UVICORN, ASR_WORKER="thread") as server:
        assert server.ready()["ready"]
        assert (
            plain_http.get(
                f"{server.url}/v1/models", headers={"host": "evil.example"}, timeout=60
            ).status_code
            == 403
        )


@pytest.mark.slow
@pytest.mark.parametrize("command", [MAIN, (*UVICORN, "0")], ids=["main", "uvicorn"])
def test_a_bad_key_or_file_of_keys_ends_it_with_2_and_no_key_is_printed(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    ended = run(*command, API_KEYS="alice:short", TOKEN_SECRET="short too")
    assert ended.returncode == 2
    assert "API_KEYS=…: key 1 has less than 16 characters" in ended.stderr
    assert "short" not in ended.stderr
    (tmp_path / "keys.json").write_text("{")
    ended = run(*command, API_KEYS_FILE=str(tmp_path / "keys.json"))
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"API_KEYS_FILE: {tmp_path / 'keys.json'}: it is not valid JSON: ")
