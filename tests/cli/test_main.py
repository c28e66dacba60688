"""The command line as a whole."""

import subprocess
import sys
from pathlib import Path

from tests.cli.running import ROOT

HEAVY = {"torch", "numpy", "rich", "huggingface_hub"}
SCRIPT = """
import sys
from cli.__main__ import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(*sys.modules)
"""


def modules_after(*arguments: str) -> set[str]:
    """Run a command in a process of its own; return the modules that it has loaded."""
    command = [sys.executable, "-c", SCRIPT, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_loads_nothing_heavy() -> None:
    modules = modules_after("--help")
    assert "cli.__main__" in modules
    assert modules & (HEAVY | {"pydantic"}) == set()


def test_keys_load_no_model_code(tmp_path: Path) -> None:
    modules = modules_after("keys", "new", "alice", "--file", str(tmp_path / "keys.json"))
    assert "server.auth.key_file" in modules
    assert modules & HEAVY == set()


def test_transcribe_loads_only_what_its_files_need() -> None:
    modules = modules_after("transcribe", "--model", "free", "--device", "cpu", "test.wav")
    assert "vad.silero_numpy" in modules
    assert modules & {"torch", "transformers", "huggingface_hub", "httpx", "fastapi", "pydantic"} == set()
