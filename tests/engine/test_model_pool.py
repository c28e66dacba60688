"""Shared, failing, abandoned and ending loads of recognizers by name."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import numpy as np
import pytest

from asr.recognizer import Hypothesis, ModelInfo, RecognitionRequest
from audio.clip import Clip
from batching.batcher import BULK, Batcher
from engine.health import Health
from engine.memory_budget import MemoryBudget
from engine.model_handle import Asr, ModelState, RunningModel
from engine.model_pool import ModelNotReady, ModelPool
from engine.recognizer_process import LoadedModelInfo
from engine.supervisor import Supervisor
from tests.waiting import until

SECOND = RecognitionRequest(Clip(np.zeros(16_000, np.float32)))


class Worker:
    """Start when the gate opens; return the own number. broken: why it cannot start."""

    def __init__(self, source: str, number: int, memory: int) -> None:
        self.description: object = None
        self.gate = asyncio.Event()
        self.broken: str | None = None
        self.closed = False
        self._source, self._number, self._memory = source, number, memory

    async def start(self) -> None:
        await self.gate.wait()
        if self.broken:
            raise OSError(self.broken)
        model = ModelInfo(f"{self._source}!", self._source, "free", "cpu", "none")
        self.description = LoadedModelInfo(model, self._memory)

    async def run(self, items: list[RecognitionRequest], /) -> list[Hypothesis]:
        return [Hypothesis(f"{self._source} {self._number}") for _ in items]

    async def close(self) -> None:
        self.closed = True


class Yard:
    """Build workers and remember them; while `open` they load at once."""

    def __init__(self, memory: int = 0) -> None:
        self.workers: list[Worker] = []
        self.batchers: list[weakref.ref[Asr]] = []
        self.watchdogs: list[Supervisor] = []
        self.health = Health()
        self.restarts: list[str] = []
        self.failures: list[str] = []
        self.open = True
        self.memory = memory

    def build(self, source: str, watchdog: Supervisor) -> Asr:
        worker = Worker(source, len(self.workers), self.memory)
        self.watchdogs.append(watchdog)
        if self.open:
            worker.gate.set()
        self.workers.append(worker)
        batcher: Asr = Batcher(worker, max_items=1, max_waiting=10)
        self.batchers.append(weakref.ref(batcher))
        return batcher

    def build_background(self, source: str, watchdog: Supervisor) -> Worker:
        worker = Worker(f"{source} in the background", len(self.workers), self.memory)
        worker.gate.set()
        self.workers.append(worker)
        return worker

    async def built(self, number: int) -> Worker:
        """Wait for the worker with a number and return it."""
        await until(lambda: len(self.workers) > number)
        return self.workers[number]


@pytest.fixture
def yard() -> Yard:
    return Yard()


@asynccontextmanager
async def running(
    yard: Yard,
    *,
    budget: int = 0,
    idle: float = 0.0,
    retry: float = 60.0,
    weight: int = 0,
    background: bool = False,
) -> AsyncIterator[ModelPool]:
    """Run a pool with the names a (the default), b and c."""
    reservations = MemoryBudget(budget=budget, idle_seconds=idle)
    sources = {name: f"/{name}" for name in "abc"}
    async with ModelPool(
        sources,
        yard.build,
        reservations,
        build_background=yard.build_background if background else None,
        estimate_memory=lambda source: weight,
        retry_seconds=retry,
        health=yard.health,
        on_restart=yard.restarts.append,
        on_broken=yard.failures.append,
    ) as recognizers:
        yield recognizers
    assert all(worker.closed for worker in yard.workers)


async def said(recognizer: RunningModel) -> str:
    return (await recognizer.asr.submit(SECOND)).text


async def used(recognizers: ModelPool, name: str) -> str:
    async with recognizers.acquire(name) as recognizer:
        return await said(recognizer)


async def until_absent(recognizers: ModelPool, name: str) -> None:
    await until(lambda: recognizers.status(name).state is ModelState.ABSENT)


def states(recognizers: ModelPool) -> list[ModelState]:
    return [recognizers.status(name).state for name in recognizers.names]


async def test_model_is_loaded_on_first_use(yard: Yard) -> None:
    async with running(yard) as recognizers:
        assert states(recognizers) == [ModelState.ABSENT] * 3
        assert await used(recognizers, "b") == "/b 0"
        assert states(recognizers) == [ModelState.ABSENT, ModelState.READY, ModelState.ABSENT]
        assert await used(recognizers, "b") == "/b 0"
        assert recognizers.loaded == 1


async def test_users_of_a_model_are_counted(yard: Yard) -> None:
    async with running(yard) as recognizers, recognizers.acquire("a") as first:
        async with recognizers.acquire("a") as second:
            assert first is second
            assert recognizers.status("a").users == 2
        status = recognizers.status("a")
        assert (status.users, status.description) == (1, first.description)


async def test_concurrent_users_share_one_load(yard: Yard) -> None:
    yard.open = False
    async with running(yard) as recognizers:
        asking = [asyncio.create_task(used(recognizers, "b")) for _ in range(5)]
        worker = await yard.built(0)
        assert recognizers.status("b").state is ModelState.LOADING
        worker.gate.set()
        assert await asyncio.gather(*asking) == ["/b 0"] * 5
        assert len(yard.workers) == 1


async def test_cancelled_waiter_does_not_cancel_the_load(yard: Yard) -> None:
    yard.open = False
    async with running(yard) as recognizers:
        leaving, staying = (asyncio.create_task(used(recognizers, "b")) for _ in range(2))
        worker = await yard.built(0)
        leaving.cancel()
        await asyncio.wait([leaving])
        assert leaving.cancelled()
        assert recognizers.status("b").users == 1
        worker.gate.set()
        assert await staying == "/b 0"


async def test_abandoned_load_serves_the_next_user(yard: Yard) -> None:
    yard.open = False
    async with running(yard) as recognizers:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001), recognizers.acquire("b"):
                pass
        (await yard.built(0)).gate.set()
        assert await used(recognizers, "b") == "/b 0"
        assert len(yard.workers) == 1


async def test_failed_load_fails_all_waiters_and_is_not_retried_yet(yard: Yard) -> None:
    yard.open = False
    async with running(yard) as recognizers:
        asking = [asyncio.create_task(used(recognizers, "b")) for _ in range(3)]
        worker = await yard.built(0)
        worker.broken = "no weights"
        worker.gate.set()
        failures = await asyncio.gather(*asking, return_exceptions=True)
        assert [(type(each), str(each)) for each in failures] == [(ModelNotReady, "no weights")] * 3
        assert (recognizers.status("b").state, recognizers.status("b").error) == (
            ModelState.FAILED,
            "no weights",
        )
        with pytest.raises(ModelNotReady, match="no weights"):
            await used(recognizers, "b")
        assert len(yard.workers) == 1
        assert recognizers.loaded == recognizers.memory == 0


async def test_failed_load_is_retried_later(yard: Yard) -> None:
    yard.open = False
    async with running(yard, retry=0.0) as recognizers:
        recognizers.preload("b")
        worker = await yard.built(0)
        worker.broken = "no weights"
        worker.gate.set()
        await until(lambda: recognizers.status("b").state is ModelState.FAILED)
        yard.open = True
        assert await used(recognizers, "b") == "/b 1"
        assert recognizers.status("b").error is None


async def test_idle_model_is_unloaded_except_the_default(yard: Yard) -> None:
    async with running(yard, idle=0.01) as recognizers:
        await used(recognizers, "a")
        async with recognizers.acquire("b") as recognizer:
            await used(recognizers, "c")
            await until_absent(recognizers, "c")
            assert await said(recognizer) == "/b 1"
        await until_absent(recognizers, "b")
        assert recognizers.status("a").state is ModelState.READY
        assert await used(recognizers, "b") == "/b 3"


async def test_idle_model_is_unloaded_before_the_next_load() -> None:
    yard = Yard(memory=40)
    async with running(yard, budget=100, weight=40) as recognizers:
        await used(recognizers, "a")
        await used(recognizers, "b")
        assert await used(recognizers, "c") == "/c 2"
        assert [worker.closed for worker in yard.workers] == [False, True, False]
        assert states(recognizers) == [ModelState.READY, ModelState.ABSENT, ModelState.READY]
        assert recognizers.memory == 80


async def test_model_above_the_budget_is_refused_before_its_load() -> None:
    yard = Yard(memory=40)
    async with running(yard, budget=100, weight=40) as recognizers:
        await used(recognizers, "a")
        async with recognizers.acquire("b") as recognizer:
            with pytest.raises(ModelNotReady, match="c takes"):
                await used(recognizers, "c")
            assert len(yard.workers) == 2
            assert await said(recognizer) == "/b 1"
        assert await used(recognizers, "c") == "/c 2"  # there is room now, and nobody has to wait


async def test_model_larger_than_estimated_is_given_up() -> None:
    yard = Yard(memory=80)
    async with running(yard, budget=100, weight=10) as recognizers:
        await used(recognizers, "a")
        for _ in range(2):
            with pytest.raises(ModelNotReady, match="b takes"):
                await used(recognizers, "b")
        assert [worker.closed for worker in yard.workers] == [False, True]
        assert recognizers.memory == 80


async def test_close_fails_waiters_and_stops_loads(yard: Yard) -> None:
    yard.open = False
    async with running(yard) as recognizers:
        early = asyncio.create_task(used(recognizers, "b"))
        await yard.built(0)
        late = asyncio.create_task(used(recognizers, "c"))
        await asyncio.sleep(0)  # its load has not taken a step yet
    for asking in (early, late):
        with pytest.raises(ModelNotReady, match="stopping"):
            await asking
    with pytest.raises(ModelNotReady, match="stopping"):
        await used(recognizers, "a")


async def test_names_are_resolved_and_the_default_has_that_of_its_model_too(yard: Yard) -> None:
    async with running(yard) as recognizers:
        assert (recognizers.default, recognizers.resolve("b")) == ("a", "b")
        assert recognizers.resolve("/a!") is None
        await used(recognizers, "a")
        await used(recognizers, "b")
        assert recognizers.resolve("/a!") == "a"
        assert recognizers.resolve("/b!") is None
        with pytest.raises(KeyError):
            await used(recognizers, "nothing")


async def test_batches_are_counted_beyond_the_end_of_a_recognizer(yard: Yard) -> None:
    async with running(yard, idle=0.001) as recognizers:
        await used(recognizers, "b")
        await until_absent(recognizers, "b")
        await used(recognizers, "c")
        assert (recognizers.batches, recognizers.items, recognizers.waiting) == (2, 2, 0)


async def test_an_unloaded_recognizer_is_not_held_by_anything(yard: Yard) -> None:
    async with running(yard, idle=0.001) as recognizers:
        await used(recognizers, "b")
        await until_absent(recognizers, "b")

        def is_collected() -> bool:
            gc.collect()
            return yard.batchers[0]() is None

        await until(is_collected)
        assert yard.workers[0].closed


async def test_models_in_use_always_answer() -> None:
    yard = Yard(memory=40)
    generator = np.random.default_rng(3)

    async def visit(recognizers: ModelPool) -> int:
        name = "abc"[generator.integers(3)]
        try:
            async with AsyncExitStack() as stack:
                recognizer = await stack.enter_async_context(recognizers.acquire(name))
                for _ in range(generator.integers(4)):
                    assert (await said(recognizer)).startswith(f"/{name} ")
                assert recognizers.memory <= 120
        except ModelNotReady:
            return 0
        return 1

    async with running(yard, budget=120, idle=0.0005, retry=0.0, weight=40) as recognizers:
        await used(recognizers, "a")
        served = 0
        for _ in range(20):
            served += sum(await asyncio.gather(*(visit(recognizers) for _ in range(6))))
        assert served > 40


async def test_restart_is_reported_and_critical_for_the_default(yard: Yard) -> None:
    async with running(yard) as recognizers:
        for name in ("a", "b"):
            await used(recognizers, name)
        for watchdog in yard.watchdogs:
            watchdog.restarting("it died")
        assert states(recognizers)[:2] == [ModelState.RESTARTING, ModelState.RESTARTING]
        assert yard.restarts == ["a", "b"]
        yard.watchdogs[0].restarted()
        assert list(yard.health.problems) == ["recognizer b"]
        assert yard.health.ok
        yard.watchdogs[0].restarting("it died once more")
        assert not yard.health.ok
    assert yard.health.problems == {}


async def test_broken_default_is_reported_to_the_callback(yard: Yard) -> None:
    async with running(yard) as recognizers:
        await used(recognizers, "a")
        yard.watchdogs[0].broken("nothing is left")
        assert yard.failures == ["nothing is left"]
        assert recognizers.status("a").state is ModelState.FAILED
        with pytest.raises(ModelNotReady, match="nothing is left"):
            await used(recognizers, "a")


async def test_other_broken_model_is_reloaded_for_the_next_user(yard: Yard) -> None:
    async with running(yard, retry=0.0) as recognizers:
        async with recognizers.acquire("b") as held:
            yard.watchdogs[0].broken("nothing is left")
            assert recognizers.status("b").state is ModelState.FAILED
            assert await used(recognizers, "b") == "/b 1"
            assert await said(held) == "/b 0"
            assert yard.health.problems
        await until(lambda: not yard.health.problems)
        assert (yard.failures, recognizers.loaded) == ([], 1)


async def test_a_file_beside_live_work_has_a_recognizer_and_memory_of_its_own() -> None:
    yard = Yard(memory=40)
    async with running(yard, background=True) as recognizers, recognizers.acquire("a") as model:
        assert await said(model) == "/a 0"
        assert recognizers.memory == 40
        assert (await model.asr.submit(SECOND, BULK)).text == "/a in the background 1"
        assert recognizers.memory == 80
    assert recognizers.memory == 0


async def test_a_file_shares_the_recognizer_where_the_budget_has_no_room() -> None:
    yard = Yard(memory=40)
    async with running(yard, background=True, budget=60) as recognizers, recognizers.acquire("a") as model:
        await said(model)
        assert (await model.asr.submit(SECOND, BULK)).text == "/a 0"
        assert (len(yard.workers), recognizers.memory) == (1, 40)
