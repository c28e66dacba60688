"""Test a process with a model, from its start to its end."""

import os
import signal
import threading
from functools import partial

import pytest

from batching.errors import ModelDied
from batching.model_process import ModelProcess
from tests.batching.test_worker import DEADLY, Adder, add, build, describe


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
