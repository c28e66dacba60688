"""Test a model in a thread, and in a process that may die, hang or lose its device."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from batching.batcher import BULK, Batcher
from batching.errors import DeadlineExceeded, ModelBroken, ModelDied
from batching.process_worker import MAX_FAILED_LOADS, ProcessWorker
from batching.threads import ThreadWorker
from tests.waiting import until

DEADLY, HANGING, RAISING, BREAKING = -1, -2, -3, -4


class Adder:
    """Add a number, except to the special items above."""

    def __init__(self, number: int) -> None:
        self.number = number


def build(number: int) -> Adder:
    return Adder(number)


def build_nothing() -> Adder:
    raise FileNotFoundError("no such model")


def build_once(flag: Path) -> Adder:
    if flag.exists():
        raise FileNotFoundError("it is gone")
    flag.touch()
    return Adder(1)


def add(adder: Adder, items: list[int]) -> list[int]:
    return [_sum(adder, item) for item in items]


def _sum(adder: Adder, item: int) -> int:
    if item == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    if item == HANGING:
        threading.Event().wait()
    if item == RAISING:
        raise ValueError(f"cannot add to {item}")
    if item == BREAKING:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    return item + adder.number


def name_process(adder: Adder, items: list[int]) -> list[int]:
    return [os.getpid() for _ in items]


class Diary:
    """Record the changes of a model's state."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.news = asyncio.Event()

    def restarting(self, why: str) -> None:
        self._note(f"restarting: {why}")

    def restarted(self) -> None:
        self._note("restarted")

    def broken(self, why: str) -> None:
        self._note(f"broken: {why}")

    async def until(self, length: int) -> None:
        while len(self.told) < length:
            self.news.clear()
            await self.news.wait()

    def _note(self, note: str) -> None:
        self.told.append(note)
        self.news.set()


def soon(items: list[int]) -> float:
    """Return a deadline for items that do not hang."""
    return 0.2 if HANGING in items else 60.0


@asynccontextmanager
async def running(
    build: Callable[[], Adder] = partial(build, 1),  # noqa: B008
    call: Callable[[Adder, list[int]], list[int]] = add,
    diary: Diary | None = None,
) -> AsyncIterator[ProcessWorker[Adder, int, int]]:
    worker = ProcessWorker(build, call, name="adder", deadline=soon, backoff=0.001, observer=diary)
    try:
        await worker.start()
        yield worker
    finally:
        await worker.close()


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


async def test_error_of_the_model_does_not_end_the_process() -> None:
    async with running() as worker:
        for _ in range(2):
            with pytest.raises(ValueError, match="cannot add"):
                await worker.run([RAISING])
        assert worker.restarts == 0


async def test_model_that_cannot_be_built_raises_the_reason() -> None:
    with pytest.raises(FileNotFoundError, match="no such model"):
        async with running(build_nothing):
            pass


@pytest.mark.parametrize(
    ("item", "error", "why"),
    [
        (DEADLY, ModelDied, "the process of adder died while it ran a batch"),
        (HANGING, DeadlineExceeded, "no answer for 0.2 s"),
        (BREAKING, ModelDied, "CUDA error: an illegal memory access was encountered"),
    ],
    ids=["death", "hang", "device"],
)
async def test_ended_process_is_reported_and_replaced(item: int, error: type[Exception], why: str) -> None:
    diary = Diary()
    async with running(diary=diary) as worker:
        first = worker.pid
        with pytest.raises(error):
            await worker.run([item])
        assert diary.told == [f"restarting: {why}", "restarted"]
        assert worker.restarts == 1
        assert worker.pid != first
        assert await worker.run([7]) == [8]


async def test_process_that_dies_while_idle_is_restarted_at_once() -> None:
    diary = Diary()
    async with running(diary=diary) as worker:
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        await diary.until(2)
        assert diary.told == ["restarting: the process of adder died", "restarted"]
        assert await worker.run([7]) == [8]


@pytest.mark.slow
async def test_model_that_cannot_be_reloaded_is_broken(tmp_path: Path) -> None:
    diary = Diary()
    async with running(partial(build_once, tmp_path / "built"), diary=diary) as worker:
        for item in (DEADLY, 7):
            with pytest.raises(ModelBroken, match="it is gone"):
                await worker.run([item])
        assert [note.partition(":")[0] for note in diary.told] == ["restarting", "broken"]
        assert worker.restarts == MAX_FAILED_LOADS


@pytest.mark.parametrize(
    "item",
    [
        DEADLY,
        RAISING,
        pytest.param(HANGING, marks=pytest.mark.slow),
        pytest.param(BREAKING, marks=pytest.mark.slow),
    ],
)
async def test_item_that_ends_the_process_fails_alone(item: int) -> None:
    async with running() as worker, Batcher(worker, max_items=8, max_waiting=8) as batches:
        told = await asyncio.gather(
            *(batches.submit(each, priority) for each, priority in ((1, 0), (item, 0), (2, 0), (3, BULK))),
            return_exceptions=True,
        )
        assert [told[0], *told[2:]] == [2, 3, 4]
        assert isinstance(told[1], ModelDied | ValueError)
        assert await batches.submit(5) == 6


async def test_optional_items_are_not_retried_after_a_death() -> None:
    async with running() as worker, Batcher(worker, max_items=8, max_waiting=8) as batches:
        told = await asyncio.gather(
            *(batches.submit(each, priority) for each, priority in ((DEADLY, 2), (1, 1), (2, 0))),
            return_exceptions=True,
        )
        assert isinstance(told[0], ModelDied)
        assert isinstance(told[1], ModelDied)
        assert told[2] == 3
        assert worker.restarts == 1


async def test_closing_ends_the_process() -> None:
    async with running() as worker:
        pid = worker.pid
        assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_closing_leaves_no_thread_behind() -> None:
    async with running() as worker:
        with pytest.raises(ModelDied):
            await worker.run([DEADLY])
        assert any(thread.name.startswith("adder-") for thread in threading.enumerate())
    await until(lambda: not any(thread.name.startswith("adder-") for thread in threading.enumerate()))


async def test_closing_does_not_wait_for_a_process_that_hangs() -> None:
    async with running() as worker:
        hanging = asyncio.create_task(worker.run([HANGING]))
        await asyncio.sleep(0)
        hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging


# In a thread


@pytest.mark.parametrize("item", [HANGING, BREAKING])
async def test_thread_worker_breaks_on_a_hang_or_device_error(item: int) -> None:
    diary = Diary()
    worker = ThreadWorker(partial(build, 1), add, name="adder", deadline=soon, observer=diary)
    await worker.start()
    async with Batcher(worker, max_items=8, max_waiting=8) as batches:
        told = await asyncio.gather(*(batches.submit(each) for each in (item, 1)), return_exceptions=True)
        assert all(isinstance(each, DeadlineExceeded | RuntimeError | ModelBroken) for each in told)
        with pytest.raises(ModelBroken, match="adder: "):
            await batches.submit(5)
    assert [note.partition(":")[0] for note in diary.told] == ["broken"]


async def test_model_that_always_raises_is_broken_if_limited() -> None:
    diary = Diary()
    worker = ThreadWorker(partial(build, 1), add, name="adder", max_failures=2, observer=diary)
    await worker.start()
    for item, error in ((RAISING, ValueError), (1, None), (RAISING, ValueError), (RAISING, ValueError)):
        if error is None:
            assert await worker.run([item]) == [2]
        else:
            with pytest.raises(error):
                await worker.run([item])
    with pytest.raises(ModelBroken, match="cannot add"):
        await worker.run([1])
    assert diary.told == ["broken: adder: cannot add to -3"]
    await worker.close()
