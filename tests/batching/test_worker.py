"""Workers: a model in a thread, and one in a process that may die."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from batching.errors import ModelDied
from batching.worker import ProcessWorker, ThreadWorker


class Adder:
    """Adds a number; dies on "die", raises on "raise"."""

    def __init__(self, number: int) -> None:
        self.number = number


def build(number: int) -> Adder:
    return Adder(number)


def build_nothing() -> Adder:
    raise FileNotFoundError("no such model")


def add(adder: Adder, items: list[int]) -> list[int]:
    return [item + adder.number for item in items]


def name_process(adder: Adder, items: list[int]) -> list[int]:
    return [os.getpid() for _ in items]


def fail(adder: Adder, items: list[int]) -> list[int]:
    raise ValueError(f"cannot add {items}")


def die_once(flag: Path, adder: Adder, items: list[int]) -> list[int]:
    if not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return items


def die(adder: Adder, items: list[int]) -> list[int]:
    os.kill(os.getpid(), signal.SIGKILL)
    return items


def describe(adder: Adder) -> object:
    return {"number": adder.number}


async def test_a_thread_worker_builds_describes_and_runs_its_model() -> None:
    worker = ThreadWorker(partial(build, 3), add, name="adder", describe=describe)
    await worker.start()
    assert worker.description == {"number": 3}
    assert await worker.run([1, 2]) == [4, 5]
    await worker.close()


async def test_a_process_worker_builds_describes_and_runs_its_model_elsewhere() -> None:
    worker = ProcessWorker(partial(build, 3), name_process, name="adder", describe=describe)
    await worker.start()
    try:
        assert worker.description == {"number": 3}
        assert await worker.run([1]) == [worker.pid]
        assert worker.pid != os.getpid()
    finally:
        await worker.close()


async def test_what_the_model_raises_reaches_the_caller_and_the_process_lives_on() -> None:
    worker = ProcessWorker(partial(build, 1), fail, name="adder")
    await worker.start()
    try:
        for _ in range(2):
            with pytest.raises(ValueError, match="cannot add"):
                await worker.run([1])
        assert worker.restarts == 0
    finally:
        await worker.close()


async def test_a_model_that_cannot_be_built_says_why() -> None:
    worker = ProcessWorker(build_nothing, add, name="adder")
    with pytest.raises(FileNotFoundError, match="no such model"):
        await worker.start()
    await worker.close()


async def test_a_process_that_dies_is_started_again_and_its_batch_tried_once_more(tmp_path: Path) -> None:
    worker = ProcessWorker(partial(build, 1), partial(die_once, tmp_path / "died"), name="adder")
    await worker.start()
    try:
        assert await worker.run([7]) == [7]
        assert worker.restarts == 1
    finally:
        await worker.close()


async def test_a_batch_that_kills_the_process_twice_is_given_up_and_the_worker_lives_on() -> None:
    worker = ProcessWorker(partial(build, 1), die, name="adder")
    await worker.start()
    try:
        with pytest.raises(ModelDied):
            await worker.run([7])
        assert worker.restarts == 2
        assert worker.pid is not None
        os.kill(worker.pid, 0)  # it lives
    finally:
        await worker.close()


async def test_closing_ends_the_process() -> None:
    worker = ProcessWorker(partial(build, 1), add, name="adder")
    await worker.start()
    pid = worker.pid
    assert pid is not None
    await worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
