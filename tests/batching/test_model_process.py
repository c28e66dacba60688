"""Test a process with a model, from its start to its end."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from batching.errors import ModelDied
from batching.model_process import ModelProcess
from tests.batching.test_worker import DEADLY, Adder, add, build, describe

ROOT = Path(__file__).parents[2]


def child() -> ModelProcess[Adder, int, int]:
    return ModelProcess(partial(build, 3), add, describe, "adder")


def test_model_is_built_described_and_run() -> None:
    adder = child()
    assert adder.start() == {"number": 3}
    assert adder.run([1, 2]) == [4, 5]
    adder.kill()
    adder.reap()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_to_the_whole_group_leave_the_model_running(number: signal.Signals) -> None:
    """Ctrl-C and systemd's stop reach every process, and the server still needs the last results."""
    adder = child()
    adder.start()
    assert adder.pid is not None
    os.kill(adder.pid, number)
    assert adder.run([1]) == [4]
    adder.kill()
    adder.reap()


def test_death_of_the_process_raises_and_ends_waits() -> None:
    adder = child()
    adder.start()
    waiting = threading.Thread(target=adder.wait)
    waiting.start()
    for _ in range(2):
        with pytest.raises(ModelDied):
            adder.run([DEADLY])
    waiting.join()
    adder.reap()


def test_process_killed_before_its_start_fails_to_start() -> None:
    adder = child()
    adder.kill()
    with pytest.raises(ModelDied, match="while it loaded its model"):
        adder.start()
    adder.reap()
    assert adder.pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(adder.pid, 0)


ORPHAN = """
import os, signal, sys
from functools import partial
from batching.model_process import ModelProcess
from tests.batching.test_worker import add, build, describe

if __name__ == "__main__":
    adder = ModelProcess(partial(build, 3), add, describe, "adder")
    if sys.argv[1] == "while it loads":
        adder._process.start()
    else:
        adder.start()
        adder._pipe.send([1, 2])
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["while it loads", "while it works"])
def test_process_of_a_killed_program_ends_without_a_word(tmp_path: Path, when: str) -> None:
    """stderr ends when the last process has closed it."""
    (tmp_path / "orphan.py").write_text(ORPHAN)
    ended = subprocess.run(
        [sys.executable, tmp_path / "orphan.py", when],
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (-signal.SIGKILL, "")


class Interrupting:
    """Send Ctrl-C to the process that unpickles it."""

    def __reduce__(self) -> tuple[object, ...]:
        return interrupt_and_build, ()


def interrupt_and_build() -> Callable[[], Adder]:
    os.kill(os.getpid(), signal.SIGINT)
    return partial(build, 3)


def test_interrupt_before_the_model_is_built_is_ignored() -> None:
    adder: ModelProcess[Adder, int, int] = ModelProcess(Interrupting(), add, describe, "adder")  # type: ignore[arg-type]
    adder.start()
    assert adder.run([1]) == [4]
    adder.kill()
    adder.reap()
