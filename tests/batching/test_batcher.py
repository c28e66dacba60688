"""Test the order and the batches of items, and the results of their callers."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batching.batcher import (
    BACKGROUND_RETRY_SECONDS,
    BACKGROUND_SECONDS,
    BULK,
    LIVE_SECONDS,
    OPTIONAL,
    BatchedItem,
    Batcher,
)
from batching.errors import BatcherClosed, ModelBroken, QueueFull
from tests.waiting import until


class GatedWorker:
    """Double numbers, one batch each time the gate is opened; record the batches."""

    def __init__(self, *, open_gate: bool = False) -> None:
        self.description: object = None
        self.batches: list[list[int]] = []
        self.started = asyncio.Semaphore(0)  # released for each batch
        self._gate = asyncio.Semaphore(1_000_000 if open_gate else 0)

    async def start(self) -> None:
        pass

    async def run(self, items: list[int], /) -> list[int]:
        self.batches.append(items)
        self.started.release()
        await self._gate.acquire()
        if any(item < 0 for item in items):
            raise ValueError(f"bad items: {[item for item in items if item < 0]}")
        return [2 * item for item in items]

    async def close(self) -> None:
        pass

    def let_run(self, batches: int = 1) -> None:
        for _ in range(batches):
            self._gate.release()


def batcher(worker: GatedWorker, **bounds: int) -> Batcher[int, int]:
    return Batcher(worker, max_items=bounds.get("max_items", 8), max_waiting=bounds.get("max_waiting", 8))


async def busy(worker: GatedWorker, batches: Batcher[int, int]) -> asyncio.Task[int]:
    """Start a first batch, so that later items have to wait."""
    first = asyncio.create_task(batches.submit(0))
    await worker.started.acquire()
    return first


async def test_result_is_returned_to_its_caller() -> None:
    async with batcher(GatedWorker(open_gate=True)) as batches:
        assert await asyncio.gather(*(batches.submit(n) for n in range(20))) == [2 * n for n in range(20)]


async def test_the_next_batch_forms_while_the_current_one_runs() -> None:
    worker = GatedWorker()
    async with batcher(worker) as batches:
        first = await busy(worker, batches)
        rest = [asyncio.create_task(batches.submit(n)) for n in (1, 2, 3)]
        await asyncio.sleep(0)
        worker.let_run(2)
        await asyncio.gather(first, *rest)
        assert worker.batches == [[0], [1, 2, 3]]


async def test_items_run_by_priority_then_by_age() -> None:
    worker = GatedWorker()
    async with batcher(worker, max_items=2) as batches:
        first = await busy(worker, batches)
        told: list[int | Exception] = []
        for item, priority in ((1, 2), (2, 0), (3, 1), (4, 0)):
            batches.post(item, told.append, priority)
        worker.let_run(4)
        await first
        await batches.submit(5, 2)
        assert worker.batches[:3] == [[0], [2, 4], [3, 1]]


async def test_promoted_item_runs_before_its_old_priority() -> None:
    worker = GatedWorker()
    async with batcher(worker, max_items=1) as batches:
        first = await busy(worker, batches)
        told: list[int | Exception] = []
        batches.post(1, told.append, 2)
        ticket = batches.post(2, told.append, 2)
        batches.promote(ticket, 0)
        worker.let_run(4)
        await first
        await batches.submit(3, 2)
        assert told == [4, 2]


async def test_batch_is_within_its_budget_or_has_one_item() -> None:
    worker = GatedWorker()
    batches: Batcher[int, int] = Batcher(worker, max_items=9, max_waiting=9, cost=float, budget=5.0)
    async with batches:
        first = await busy(worker, batches)
        rest = [asyncio.create_task(batches.submit(n)) for n in (7, 2, 3, 1)]
        await asyncio.sleep(0)
        worker.let_run(4)
        await asyncio.gather(first, *rest)
        assert worker.batches == [[0], [7], [2, 3], [1]]


class Clock:
    """Advance only when a batch runs: by a fixed time for each item in it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class TimedWorker(GatedWorker):
    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self._clock = clock
        self._seconds = seconds

    async def run(self, items: list[int], /) -> list[int]:
        results = await super().run(items)
        self._clock.now += len(items) * self._seconds
        return results


async def test_batch_size_follows_the_measured_pace() -> None:
    clock = Clock()
    worker = TimedWorker(clock, 0.1)
    async with Batcher(worker, max_items=8, max_waiting=8, seconds=0.35, clock=clock) as batches:
        first = await busy(worker, batches)
        rest = [asyncio.create_task(batches.submit(n)) for n in range(1, 8)]
        await asyncio.sleep(0)
        worker.let_run(10)
        await asyncio.gather(first, *rest)
        assert worker.batches == [[0], [1, 2, 3], [4, 5, 6], [7]]


async def test_less_urgent_items_join_only_short_batches() -> None:
    clock = Clock()
    worker = TimedWorker(clock, 0.1)
    async with Batcher(
        worker, max_items=8, max_waiting=8, seconds=1.0, joined_seconds=0.35, clock=clock
    ) as batches:
        first = await busy(worker, batches)
        urgent = [asyncio.create_task(batches.submit(n)) for n in (1, 2)]
        others = [asyncio.create_task(batches.submit(n, 2)) for n in (3, 4, 5)]
        await asyncio.sleep(0)
        worker.let_run(10)
        await asyncio.gather(first, *urgent, *others)
        assert worker.batches == [[0], [1, 2, 3], [4, 5]]


async def test_observer_gets_the_wait_of_each_item() -> None:
    clock = Clock()
    worker = TimedWorker(clock, 0.5)
    heard: list[list[BatchedItem]] = []
    async with Batcher(
        worker, max_items=8, max_waiting=8, on_batch=lambda batch: heard.append(list(batch)), clock=clock
    ) as batches:
        first = await busy(worker, batches)
        rest = [asyncio.create_task(batches.submit(1)), asyncio.create_task(batches.submit(2, 2))]
        await asyncio.sleep(0)
        worker.let_run(2)
        await asyncio.gather(first, *rest)
        assert heard == [[BatchedItem(0, 0.0)], [BatchedItem(0, 0.5), BatchedItem(2, 0.5)]]


async def test_full_queue_refuses_all_but_the_most_urgent_items() -> None:
    worker = GatedWorker()
    async with batcher(worker, max_waiting=1) as batches:
        first = await busy(worker, batches)
        told: list[int | Exception] = []
        batches.post(1, told.append, 1)
        with pytest.raises(QueueFull):
            batches.post(2, told.append, 1)
        batches.post(3, told.append, 0)
        assert len(batches) == 2
        worker.let_run(2)
        await first


async def test_bad_item_fails_alone() -> None:
    worker = GatedWorker()
    async with batcher(worker) as batches:
        first = await busy(worker, batches)
        rest = [asyncio.create_task(batches.submit(n)) for n in (1, -2, 3)]
        await asyncio.sleep(0)
        worker.let_run(9)
        outcomes = await asyncio.gather(first, *rest, return_exceptions=True)
        assert outcomes[:2] == [0, 2]
        assert isinstance(outcomes[2], ValueError)
        assert outcomes[3] == 6


async def test_failed_batch_of_a_stateful_model_is_not_retried() -> None:
    worker = GatedWorker()
    batches: Batcher[int, int] = Batcher(worker, max_items=9, max_waiting=9, stateless=False)
    async with batches:
        first = await busy(worker, batches)
        rest = [asyncio.create_task(batches.submit(n)) for n in (1, -2)]
        await asyncio.sleep(0)
        worker.let_run(9)
        outcomes = await asyncio.gather(first, *rest, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [int, ValueError, ValueError]
        assert worker.batches == [[0], [1, -2]]


async def test_cancelled_caller_removes_its_item() -> None:
    worker = GatedWorker()
    async with batcher(worker) as batches:
        first = await busy(worker, batches)
        waiting = asyncio.create_task(batches.submit(1))
        await asyncio.sleep(0)
        assert len(batches) == 1
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert len(batches) == 0
        worker.let_run()
        await first
        assert worker.batches == [[0]]


async def test_caller_cancelled_during_its_batch_affects_no_other() -> None:
    worker = GatedWorker()
    async with batcher(worker) as batches:
        first = await busy(worker, batches)
        rest = [asyncio.create_task(batches.submit(n)) for n in (1, 2)]
        await asyncio.sleep(0)
        worker.let_run()
        await first
        await worker.started.acquire()
        rest[0].cancel()
        worker.let_run()
        assert await rest[1] == 4


async def test_failing_callback_does_not_stop_the_batcher() -> None:
    def fail(outcome: int | Exception) -> None:
        raise RuntimeError("the caller's own fault")

    async with batcher(GatedWorker(open_gate=True)) as batches:
        batches.post(1, fail)
        assert await batches.submit(2) == 4


async def test_close_fails_every_waiting_item() -> None:
    worker = GatedWorker()
    told: list[int | Exception] = []
    collect: Callable[[int | Exception], None] = told.append
    async with batcher(worker) as batches:
        batches.post(1, collect)
        await worker.started.acquire()
        batches.post(2, collect, 2)
    assert [type(outcome) for outcome in told] == [BatcherClosed, BatcherClosed]
    with pytest.raises(BatcherClosed):
        batches.post(3, collect)


async def test_too_few_results_of_a_model_are_an_error() -> None:
    class Forgetful(GatedWorker):
        async def run(self, items: list[int], /) -> list[int]:
            return []

    async with batcher(Forgetful()) as batches:
        with pytest.raises(ValueError, match="zip"):
            await batches.submit(1)


class SlowToStop(GatedWorker):
    """Take some time to cancel a batch; set `closed` at the close."""

    def __init__(self) -> None:
        super().__init__()
        self.stopping, self.stopped = asyncio.Event(), asyncio.Event()
        self.closed = False

    async def run(self, items: list[int], /) -> list[int]:
        try:
            return await super().run(items)
        finally:
            self.stopping.set()
            await self.stopped.wait()

    async def close(self) -> None:
        self.closed = True


async def test_model_is_closed_if_close_is_cancelled() -> None:
    worker = SlowToStop()

    async def come_and_go() -> None:
        async with batcher(worker) as batches:
            first.append(asyncio.create_task(batches.submit(1)))
            await worker.started.acquire()

    first: list[asyncio.Task[int]] = []
    going = asyncio.create_task(come_and_go())
    await worker.stopping.wait()
    going.cancel()
    await asyncio.wait([going])
    assert worker.closed
    with pytest.raises(BatcherClosed):
        await first[0]


async def test_bulk_items_are_never_refused_and_take_no_capacity() -> None:
    worker = GatedWorker()
    async with batcher(worker, max_waiting=2) as batches:
        first = await busy(worker, batches)
        told: list[int | Exception] = []
        for item in (1, 2, 3):
            batches.post(item, told.append, BULK)
        for item in (4, 5):
            batches.post(item, told.append, 2)
        with pytest.raises(QueueFull):
            batches.post(6, told.append, 2)
        worker.let_run(3)
        await first
        await batches.submit(7)
        assert worker.batches[1][:2] == [4, 5]


async def test_urgent_item_waits_only_for_the_running_batch() -> None:
    worker = GatedWorker()
    async with batcher(worker, max_items=2) as batches:
        first = await busy(worker, batches)
        told: list[int | Exception] = []
        for item in range(1, 9):
            batches.post(item, told.append, BULK)
        urgent = asyncio.create_task(batches.submit(99))
        await asyncio.sleep(0)
        worker.let_run(2)
        assert await urgent == 198
        await first
        assert worker.batches[1][0] == 99
        worker.let_run(9)


async def test_sources_take_turns_within_a_priority() -> None:
    worker = GatedWorker()
    async with batcher(worker, max_items=1) as batches:
        first = await busy(worker, batches)
        told: list[int | Exception] = []
        for item in (1, 2, 3):
            batches.post(item, told.append, source="greedy")
        batches.post(4, told.append, source="modest")
        worker.let_run(9)
        await first
        await batches.submit(5)
        assert told == [2, 8, 4, 6]


async def test_promoted_or_cancelled_item_keeps_its_source() -> None:
    worker = GatedWorker()
    async with batcher(worker, max_items=1) as batches:
        first = await busy(worker, batches)
        told: list[int | Exception] = []
        batches.post(1, told.append, source="a")
        promoted = batches.post(2, told.append, 2, source="a")
        batches.promote(promoted, 0)
        batches.post(3, told.append, source="b")
        assert batches.cancel(promoted)
        worker.let_run(9)
        await first
        await batches.submit(4)
        assert told == [2, 6]


@pytest.mark.parametrize(("pause", "items"), [(0.0, 2), (LIVE_SECONDS, 10)])
async def test_bulk_batches_are_short_while_live_items_arrive(pause: float, items: int) -> None:
    clock = Clock()
    worker = TimedWorker(clock, 0.1)
    async with Batcher(
        worker, max_items=20, max_waiting=9, seconds=1.0, joined_seconds=0.2, clock=clock
    ) as batches:
        worker.let_run(20)
        await batches.submit(0)
        clock.now += pause
        await asyncio.gather(*(batches.submit(n, BULK) for n in range(1, 21)))
        assert len(worker.batches[1]) == items


async def test_lag_is_the_predicted_wait_of_a_new_item() -> None:
    clock = Clock()
    worker = TimedWorker(clock, 0.5)
    async with Batcher(worker, max_items=1, max_waiting=9, clock=clock) as batches:
        worker.let_run(1)
        await batches.submit(0)
        await worker.started.acquire()
        assert batches.lag == 0
        told: list[int | Exception] = []
        for item in (1, 2, 3):
            batches.post(item, told.append)
        batches.post(4, told.append, 2)
        batches.post(5, told.append, BULK)
        await worker.started.acquire()
        assert batches.lag == pytest.approx(1.5)  # one runs, two wait; the others go behind
        clock.now += 0.2
        assert batches.lag == pytest.approx(1.3)
        worker.let_run(9)
        await batches.submit(6, BULK)


async def test_lag_counts_the_fixed_cost_of_short_items() -> None:
    clock = Clock()
    worker = TimedWorker(clock, 0.7)  # however much an item costs
    async with Batcher(worker, max_items=1, max_waiting=9, cost=float, clock=clock) as batches:
        worker.let_run(7)
        for cost in (1, 1, 1, 1, 1, 10, 1):
            await batches.submit(cost)
        told: list[int | Exception] = []
        for cost in (1, 1, 1, 1, 1, 10):
            batches.post(cost, told.append)
        assert batches.lag == pytest.approx(6 * 0.7, rel=0.2)
        worker.let_run(7)
        await batches.submit(1, BULK)


async def test_pace_does_not_count_optional_items() -> None:
    clock = Clock()
    worker = TimedWorker(clock, 0.5)
    async with Batcher(worker, max_items=8, max_waiting=9, cost=float, clock=clock) as batches:
        worker.let_run(9)
        await batches.submit(1, OPTIONAL)
        assert batches.pace == 0
        for cost, priority in ((1, OPTIONAL), (5, 0), (1, OPTIONAL), (5, 1)):
            await batches.submit(cost, priority)
        assert batches.pace == pytest.approx(0.1)


async def test_lag_counts_the_wait_since_an_item_became_urgent() -> None:
    clock = Clock()
    worker = GatedWorker()
    async with Batcher(worker, max_items=1, max_waiting=9, clock=clock) as batches:
        first = await busy(worker, batches)  # of no known pace, and it hangs
        eager = batches.post(1, lambda _: None, 1)
        clock.now = 5.0
        assert batches.lag == 0.0
        batches.promote(eager, 0)
        clock.now = 7.0
        assert batches.lag == 2.0
        worker.let_run(2)
        await first


async def test_without_learning_lag_is_the_wait_alone() -> None:
    clock = Clock()
    worker = GatedWorker()
    async with Batcher(worker, max_items=1, max_waiting=9, learns=False, clock=clock) as batches:
        first = await busy(worker, batches)
        clock.now = 10.0
        worker.let_run(1)
        await first
        second = await busy(worker, batches)
        third = asyncio.create_task(batches.submit(1))
        await asyncio.sleep(0)
        assert batches.lag == 0.0  # although a batch takes 10 s
        clock.now = 12.0
        assert batches.lag == 2.0
        worker.let_run(2)
        await asyncio.gather(second, third)


async def test_lag_is_at_least_the_wait_of_the_oldest_item() -> None:
    clock = Clock()
    worker = GatedWorker()
    async with Batcher(worker, max_items=1, max_waiting=9, clock=clock) as batches:
        first = await busy(worker, batches)  # of no known pace, and it hangs
        second = asyncio.create_task(batches.submit(1))
        await asyncio.sleep(0)
        clock.now = 7.0
        assert batches.lag == 7.0
        worker.let_run(2)
        await asyncio.gather(first, second)


class BackgroundWorker(GatedWorker):
    """Raise ModelBroken while `broken`."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = False
        self.closed = False

    async def run(self, items: list[int], /) -> list[int]:
        if self.broken:
            raise ModelBroken("there is no memory for it")
        return await super().run(items)

    async def close(self) -> None:
        self.closed = True


def with_background(
    worker: GatedWorker, background: BackgroundWorker, clock: Clock, max_items: int = 1
) -> Batcher[int, int]:
    batches: Batcher[int, int] = Batcher(worker, max_items=max_items, max_waiting=9, clock=clock)
    batches.background = background
    return batches


async def test_live_items_do_not_wait_for_bulk_items_in_the_background() -> None:
    worker, background, clock = GatedWorker(open_gate=True), BackgroundWorker(), Clock()
    async with with_background(worker, background, clock, max_items=2) as batches:
        await batches.submit(0)
        files = [asyncio.create_task(batches.submit(n, BULK)) for n in (1, 2, 3)]
        await background.started.acquire()
        assert await batches.submit(4) == 8
        assert batches.is_busy
        background.let_run(2)
        assert await asyncio.gather(*files) == [2, 4, 6]
        assert (worker.batches, background.batches) == ([[0], [4]], [[1, 2], [3]])
        assert batches.batches == 4


async def test_bulk_items_run_here_without_live_items() -> None:
    worker, background, clock = GatedWorker(open_gate=True), BackgroundWorker(), Clock()
    async with with_background(worker, background, clock) as batches:
        assert await batches.submit(1, BULK) == 2
        await batches.submit(2)
        clock.now += BACKGROUND_SECONDS
        assert await batches.submit(3, BULK) == 6
        assert background.batches == []


async def test_first_live_item_sends_the_bulk_items_that_wait_to_the_background() -> None:
    worker, background, clock = GatedWorker(), BackgroundWorker(), Clock()
    async with with_background(worker, background, clock) as batches:
        files = [asyncio.create_task(batches.submit(n, BULK)) for n in (1, 2)]
        await worker.started.acquire()
        live = asyncio.create_task(batches.submit(3))
        await background.started.acquire()
        worker.let_run(2)
        background.let_run(1)
        assert await asyncio.gather(*files, live) == [2, 4, 6]
        assert (worker.batches, background.batches) == ([[1], [3]], [[2]])


async def test_bulk_items_return_when_live_items_no_longer_come() -> None:
    worker, background, clock = GatedWorker(open_gate=True), BackgroundWorker(), Clock()
    async with with_background(worker, background, clock) as batches:
        await batches.submit(0)
        files = [asyncio.create_task(batches.submit(n, BULK)) for n in (1, 2, 3)]
        await background.started.acquire()
        clock.now += BACKGROUND_SECONDS
        background.let_run(1)
        await asyncio.gather(*files)
        assert (worker.batches, background.batches) == ([[0], [2], [3]], [[1]])


async def test_bulk_items_run_here_for_a_while_if_the_background_fails() -> None:
    worker, background, clock = GatedWorker(open_gate=True), BackgroundWorker(), Clock()
    background.broken = True
    async with with_background(worker, background, clock) as batches:
        await batches.submit(0)
        assert await asyncio.gather(*(batches.submit(n, BULK) for n in (1, 2))) == [2, 4]
        background.broken = False
        clock.now += BACKGROUND_RETRY_SECONDS - 1
        await batches.submit(3)
        assert await batches.submit(4, BULK) == 8
        assert background.batches == []
        clock.now += 1
        background.let_run(1)
        assert await batches.submit(5, BULK) == 10
        assert background.batches == [[5]]


async def test_bad_item_fails_alone_in_the_background() -> None:
    worker, background, clock = GatedWorker(open_gate=True), BackgroundWorker(), Clock()
    async with with_background(worker, background, clock, max_items=2) as batches:
        await batches.submit(0)
        background.let_run(3)
        found = await asyncio.gather(*(batches.submit(n, BULK) for n in (-1, 2)), return_exceptions=True)
        assert isinstance(found[0], ValueError)
        assert found[1] == 4


async def test_promoted_item_returns_from_the_background() -> None:
    worker, background, clock = GatedWorker(open_gate=True), BackgroundWorker(), Clock()
    async with with_background(worker, background, clock) as batches:
        await batches.submit(0)
        told: list[int | Exception] = []
        batches.post(1, told.append, BULK)
        await background.started.acquire()
        promoted = batches.post(2, told.append, BULK)
        batches.promote(promoted, 0)
        await batches.submit(3)
        assert told == [4]


async def test_closing_fails_the_items_of_the_background() -> None:
    worker, background, clock = GatedWorker(open_gate=True), BackgroundWorker(), Clock()
    async with with_background(worker, background, clock) as batches:
        await batches.submit(0)
        files = [asyncio.create_task(batches.submit(n, BULK)) for n in (1, 2)]
        await background.started.acquire()
    assert background.closed
    for file in files:
        with pytest.raises(BatcherClosed):
            await file


@given(st.lists(st.sampled_from(["live", "bulk", "time", "here", "there", "fail"]), max_size=40))
async def test_every_item_has_one_result_wherever_it_runs(steps: list[str]) -> None:
    worker, background, clock = GatedWorker(), BackgroundWorker(), Clock()
    told: list[int | Exception] = []
    async with with_background(worker, background, clock, max_items=2) as batches:
        posted = 0
        for step in steps:
            match step:
                case "live" | "bulk":
                    posted += 1
                    batches.post(posted, told.append, 0 if step == "live" else BULK)
                case "time":
                    clock.now += BACKGROUND_SECONDS / 2
                case "here":
                    worker.let_run()
                case "there":
                    background.let_run()
                case _:
                    background.broken = not background.broken
            await asyncio.sleep(0)
        worker.let_run(100)
        background.let_run(100)
        await until(lambda: len(told) == posted)
    assert sorted(result for result in told if isinstance(result, int)) == [
        2 * n for n in range(1, posted + 1)
    ]
