"""Child: one life of a process with a model in it."""

import os
import threading
from functools import partial

import pytest

from batching.errors import ModelDied
from batching.model_process import ModelProcess
from tests.batching.test_worker import DEADLY, Adder, add, build, describe


def child() -> ModelProcess[Adder, int, int]:
    return ModelProcess(partial(build, 3), add, describe, "adder")


def test_it_builds_describes_and_runs_a_model() -> None:
    adder = child()
    assert adder.start() == {"number": 3}
    assert adder.run([1, 2]) == [4, 5]
    adder.kill()
    adder.reap()


def test_its_death_is_an_error_whoever_asks_and_ends_the_wait_for_it() -> None:
    adder = child()
    adder.start()
    waiting = threading.Thread(target=adder.wait)
    waiting.start()
    for _ in range(2):
        with pytest.raises(ModelDied):
            adder.run([DEADLY])
    waiting.join()
    adder.reap()


def test_one_that_is_killed_before_it_begins_does_not_live() -> None:
    adder = child()
    adder.kill()
    with pytest.raises(ModelDied, match="while it loaded its model"):
        adder.start()
    adder.reap()
    assert adder.pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(adder.pid, 0)
