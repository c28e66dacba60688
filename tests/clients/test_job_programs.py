"""Test programs of the job APIs that this server replaces, with the base URL changed only."""

import functools
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients.environments import SCRIPTS
from tests.server.live_server import ROOT
from tests.server.server_process import Program, scripted

pytestmark = pytest.mark.slow

WORDS = "good morning and welcome to the program"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = str(tmp_path_factory.mktemp("jobs"))
    with scripted(DATA_DIR=folder, FETCH_URLS="true", FETCH_PRIVATE="true") as running:
        assert running.ready()["ready"], running.log
        yield running


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """Serve the files of a folder."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def printed(script: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / script), *arguments], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_example_with_a_file_prints_the_transcript(server: Program) -> None:
    text = printed("generation_file.py", f"{server.url}/v1", str(ROOT / "test.wav"))
    assert text.lower().startswith(WORDS)


def test_example_with_an_address_prints_the_transcript(server: Program, tmp_path: Path) -> None:
    (tmp_path / "sample.wav").write_bytes((ROOT / "test.wav").read_bytes())
    with web_server(tmp_path) as address:
        text = printed("generation_url.py", f"{server.url}/v1", f"{address}/sample.wav")
    assert text.lower().startswith(WORDS)


def test_program_of_stt_results_prints_the_script(server: Program, tmp_path: Path) -> None:
    (tmp_path / "sample.wav").write_bytes((ROOT / "test.wav").read_bytes())
    with web_server(tmp_path) as address:
        text = printed("stt_result.py", server.url, f"{address}/sample.wav")
    assert text.lower().startswith(WORDS)


def test_program_of_wav2vec2_prints_the_transcript(server: Program) -> None:
    text = printed("wav2vec2.py", server.url, str(ROOT / "test.wav"))
    assert text.lower().startswith(WORDS)
