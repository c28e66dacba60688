"""Test a worker that is built when it is needed, and closed when it is idle."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from batching.errors import ModelBroken
from batching.lazy_worker import LazyWorker
from tests.waiting import until


class Doubler:
    """Double numbers; broken: a text of the errors of start or run."""

    def __init__(self, *, fails_to_start: bool = False) -> None:
        self.description: object = None
        self.started = False
        self.closed = False
        self.is_broken = False
        self._fails_to_start = fails_to_start

    async def start(self) -> None:
        if self._fails_to_start:
            raise OSError("the file is gone")
        self.started = True

    async def run(self, items: list[int], /) -> list[int]:
        assert self.started
        assert not self.closed
        if self.is_broken:
            raise ModelBroken("it could not be started again")
        await asyncio.sleep(0)
        return [2 * item for item in items]

    async def close(self) -> None:
        self.closed = True


class Factory:
    """Build doublers, and count the contexts that are held."""

    def __init__(self) -> None:
        self.built: list[Doubler] = []
        self.held = 0
        self.fails_to_start = False

    def build(self) -> Doubler:
        self.built.append(Doubler(fails_to_start=self.fails_to_start))
        return self.built[-1]

    @contextmanager
    def hold(self) -> Iterator[None]:
        self.held += 1
        try:
            yield
        finally:
            self.held -= 1

    def worker(self, idle_seconds: float = 60.0) -> LazyWorker[int, int]:
        return LazyWorker(self.build, name="doubler", hold=self.hold, idle_seconds=idle_seconds)


async def test_the_first_batch_builds_the_worker() -> None:
    factory = Factory()
    worker = factory.worker()
    await worker.start()
    assert factory.built == []
    assert await worker.run([1, 2]) == [2, 4]
    assert await worker.run([3]) == [6]
    assert (len(factory.built), factory.held) == (1, 1)
    await worker.close()
    assert (factory.built[0].closed, factory.held) == (True, 0)


async def test_an_idle_worker_is_closed_and_built_again() -> None:
    factory = Factory()
    worker = factory.worker(idle_seconds=0.01)
    await worker.run([1])
    await until(lambda: factory.built[0].closed)
    assert factory.held == 0
    assert await worker.run([2]) == [4]
    assert (len(factory.built), factory.held) == (2, 1)
    await worker.close()


async def test_a_worker_that_cannot_be_built_is_broken_for_this_batch() -> None:
    factory = Factory()
    worker = factory.worker()
    factory.fails_to_start = True
    with pytest.raises(ModelBroken, match="doubler: the file is gone"):
        await worker.run([1])
    assert (factory.built[0].closed, factory.held) == (True, 0)
    factory.fails_to_start = False
    assert await worker.run([2]) == [4]
    await worker.close()


async def test_a_broken_worker_is_replaced() -> None:
    factory = Factory()
    worker = factory.worker()
    await worker.run([1])
    factory.built[0].is_broken = True
    with pytest.raises(ModelBroken):
        await worker.run([2])
    assert (factory.built[0].closed, factory.held) == (True, 0)
    assert await worker.run([3]) == [6]
    await worker.close()


async def test_a_cancelled_batch_leaves_a_worker_that_can_be_closed() -> None:
    factory = Factory()
    worker = factory.worker()
    batch = asyncio.create_task(worker.run([1]))
    await until(lambda: bool(factory.built) and factory.built[0].started)
    batch.cancel()
    await asyncio.wait([batch])
    await worker.close()
    assert (factory.built[0].closed, factory.held) == (True, 0)
