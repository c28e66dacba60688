"""Test that opening the jobs does not hold up the event loop."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Prints the modules of this project, and of the database, that the thread of the event loop imports.
PROGRAM = """
import asyncio, sys, threading
from pathlib import Path
from jobs.host import JobsHost
from jobs.options import JobsOptions

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("jobs", "sqlalchemy", "dbos", "httpx"):
            if threading.current_thread() is threading.main_thread():
                print(name)

async def main():
    sys.meta_path.insert(0, Watch())
    async with JobsHost(JobsOptions(Path(sys.argv[1])), lambda database, lease: None) as host:
        assert await host.jobs() is not None

asyncio.run(main())
"""


@pytest.mark.slow
def test_opening_imports_nothing_on_the_event_loop(tmp_path: Path) -> None:
    """The imports take most of a second, in which all live streams would wait."""
    program = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    ran = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert (ran.stdout, ran.returncode) == ("", 0), ran.stderr
