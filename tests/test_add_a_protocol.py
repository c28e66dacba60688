"""Test the example of docs/add-a-protocol.md: build the server with it, and run its client."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.asr.spoken import SENTENCES
from tests.server.live_server import ROOT
from tests.server.server_process import SCRIPTED, Program, program

pytestmark = pytest.mark.slow  # two processes are started

PAGE: Final = ROOT / "docs" / "add-a-protocol.md"
APP: Final = "server/app.py"
BAD_REQUEST: Final = 4000
SECONDS: Final = 60


def blocks() -> dict[str, str]:
    """Return the Python blocks of the page by their first line, which names the file."""
    found = re.findall(r"^```python\n# (.+?)\n(.+?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    return dict(found)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the sources, changed as the page says."""
    copy = tmp_path_factory.mktemp("folder") / "repository"
    copy.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "node_modules")
    for source in ROOT.iterdir():
        if source.is_dir() and (source.name == "tests" or any(source.glob("*.py"))):
            shutil.copytree(source, copy / source.name, ignore=ignored)
        elif source.suffix in {".py", ".wav", ".toml"}:
            shutil.copy(source, copy)
    for name, code in blocks().items():
        path, _, place = name.partition(": ")
        target = copy / path
        if not place:
            target.parent.mkdir(exist_ok=True)
            target.write_text(code)
        elif place == "imports":
            insert(target, code, "from server.")
        else:
            insert(target, textwrap.indent(code, " " * 4), "    return app\n")
    return copy


def insert(path: Path, code: str, mark: str) -> None:
    """Insert code before the first line that begins with the mark."""
    before, found, after = path.read_text().partition(f"\n{mark}")
    assert found
    path.write_text(f"{before}\n{code}{mark}{after}")


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Program]:
    """Run the copy with a recognizer that answers with the words of test.wav."""
    with program(SCRIPTED, ASR_MODEL="scripted", PYTHONPATH=str(repository)) as running:
        assert running.ready()["ready"], running.log
        yield running


def lines_url(server: Program) -> str:
    return server.ws.replace("/ws/stt", "/v1/lines")


def test_the_page_names_each_file_of_the_example() -> None:
    package = {f"server/protocols/lines/{n}.py" for n in ("__init__", "messages", "translation", "endpoint")}
    assert blocks().keys() == package | {f"{APP}: imports", f"{APP}: create_app", "../try_lines.py"}


def test_the_client_of_the_page_gets_a_line_for_each_sentence(server: Program, repository: Path) -> None:
    command = [sys.executable, "../try_lines.py", lines_url(server)]
    client = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=SECONDS)
    assert client.returncode == 0, client.stderr
    lines: list[dict[str, Any]] = [json.loads(line) for line in client.stdout.splitlines()]
    assert [(line["type"], line["text"]) for line in lines] == [("line", text) for _, _, text in SENTENCES]
    for line, (start_ms, end_ms, _) in zip(lines, SENTENCES, strict=True):
        assert line["start_ms"] < (start_ms + end_ms) / 2 < line["end_ms"]


def test_a_bad_message_is_a_problem_and_the_session_continues(server: Program) -> None:
    with connect(lines_url(server)) as socket:
        socket.send("stop")
        problem = json.loads(socket.recv(SECONDS))
        assert (problem["type"], problem["code"]) == ("problem", "invalid_value")
        socket.send("end")
        assert list(socket) == []
        assert socket.close_code == 1000


def test_a_bad_url_is_a_problem_and_closes(server: Program) -> None:
    with connect(f"{lines_url(server)}?rate=1") as socket:
        assert json.loads(socket.recv(SECONDS))["code"] == "invalid_value"
        with pytest.raises(ConnectionClosed):
            socket.recv(SECONDS)
        assert socket.close_code == BAD_REQUEST


def test_the_example_keeps_the_rules_of_the_layers(repository: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/test_layers.py"]
    run = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=SECONDS)
    assert run.returncode == 0, run.stdout
