"""Build one environment per real client on first use, and keep it in a cache folder for the next run.

STT_CLIENTS names the folder (default: stt-clients in the system's folder for temporary files). A client that
cannot be fetched skips its tests and says why; with STT_CLIENTS_REQUIRED set it fails them. By itself only
OpenAI's Python client is run; STT_CLIENTS_ALL runs all of them.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

FOLDER: Final = Path(os.environ.get("STT_CLIENTS") or Path(tempfile.gettempdir(), "stt-clients"))
SCRIPTS: Final = Path(__file__).parent / "scripts"
ON_REQUEST: Final = pytest.mark.skipif(
    not os.environ.get("STT_CLIENTS_ALL"), reason="runs with STT_CLIENTS_ALL=1: see docs/clients.md"
)
OPENAI: Final = "openai[realtime]==3.54.0"  # one environment for all tests of the SDK for Python
BUILD_SECONDS: Final = 600
RUN_SECONDS: Final = 300


def python_environment(name: str, *requirements: str) -> Path:
    """Return the interpreter of an environment with the requirements installed."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"

    def build(folder: Path) -> None:
        # The pip of this environment installs, and only what a script imports is compiled: half the time.
        venv.create(folder, clear=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(_python(folder))]
        _fetch([*pip, "install", "-q", "--no-compile", *requirements], folder)

    return _python(environment(f"{name}-py{version}", requirements, build))


def node_environment(name: str, *packages: str) -> Path:
    """Return the folder for NODE_PATH with the npm packages installed."""

    def build(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        _fetch(["npm", "install", "--silent", "--prefix", str(folder), *packages], folder)

    if shutil.which("npm") is None:
        _give_up("npm is not installed")
    return environment(name, packages, build) / "node_modules"


def environment(
    name: str, requirements: Sequence[str], build: Callable[[Path], None], cache: Path = FOLDER
) -> Path:
    """Return the folder that `build` filled, now or in an earlier run. Concurrent callers wait.

    Built anew where the requirements have changed, or where the last build did not come to its end.
    """
    digest = hashlib.sha256("\n".join(requirements).encode()).hexdigest()[:12]
    folder = cache / f"{name}-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        complete = folder / ".complete"
        if not complete.exists():
            build(folder)
            complete.touch()
    return folder


def run_script(interpreter: Sequence[str | Path], script: str, *arguments: str, **environ: str) -> Any:
    """Run a client's script and return its last line as JSON. Fails with the whole output."""
    done = subprocess.run(
        [*map(str, interpreter), str(SCRIPTS / script), *arguments],
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        env=os.environ | environ,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _fetch(command: Sequence[str], folder: Path) -> None:
    """Run a package manager."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=BUILD_SECONDS)
    if done.returncode:
        why = f"{' '.join(command[1:4])}: {(done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]}"
        _give_up(why)


def _give_up(why: str) -> None:
    (pytest.fail if os.environ.get("STT_CLIENTS_REQUIRED") else pytest.skip)(why)


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"
