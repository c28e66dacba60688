"""Batcher: one queue with priorities, one model, no timer. A batch forms while the one before it runs."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from batching.errors import Closed, QueueFull
from batching.worker import Worker

Item = TypeVar("Item")
Result = TypeVar("Result")

log = logging.getLogger(__name__)

PRIORITIES: Final = 4  # 0 goes first
BULK: Final = PRIORITIES - 1  # work that nobody waits for live
TOLD_AT_ONCE: Final = 32  # results after which the event loop may do something else
NEWEST: Final = 0.2  # weight of the newest batch in the pace


@dataclass(frozen=True, slots=True)
class Taken:
    """What is told of an item when its batch begins. waited: seconds."""

    priority: int
    waited: float


def _unobserved(batch: Sequence[Taken]) -> None:
    pass


class Ticket(Generic[Item, Result]):
    """An item's place in the queue, and whom to tell."""

    __slots__ = ("_done", "item", "posted", "priority", "told", "waiting")

    def __init__(
        self, item: Item, priority: int, done: Callable[[Result | Exception], None], posted: float
    ) -> None:
        self.item = item
        self.priority = priority
        self.posted = posted  # by the batcher's clock
        self.waiting = True  # false once it was taken into a batch, or cancelled
        self.told = False
        self._done = done

    def tell(self, outcome: Result | Exception) -> None:
        """Hands the outcome to the caller, once: what comes later is dropped."""
        if self.told:
            return
        self.told = True
        try:
            self._done(outcome)
        except Exception:  # one caller's fault must not stop the batcher for all others
            log.exception("a batcher's caller failed on its result")


class Batcher(Generic[Item, Result]):
    """Many callers, one model.

    The queue holds at most `max_waiting` items; beyond it `post` takes in only priority 0 and BULK, whose
    numbers are bounded by their callers, and raises QueueFull for the rest; items of BULK do not count. A
    batch holds at most `max_items` items that together cost at most `budget`, and always at least one: the
    most urgent class first, oldest first within a class. It is also held to `seconds`, by the pace of the
    batches before it, so that what comes next need not wait longer; with less urgent items among them to
    `joined_seconds`.

    Where the model is a pure function of its items (`stateless`), a batch that fails is run again item by
    item, so that a bad item fails alone; else every waiter of the batch is told.

    Use it as an async context manager; leaving it tells every waiter `Closed`.
    """

    def __init__(
        self,
        worker: Worker[Item, Result],
        *,
        max_items: int,
        max_waiting: int,
        stateless: bool = True,
        cost: Callable[[Item], float] = lambda item: 1.0,
        budget: float = float("inf"),
        seconds: float = float("inf"),
        joined_seconds: float = float("inf"),
        observe: Callable[[Sequence[Taken]], None] = _unobserved,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.worker = worker
        self.max_items = max_items
        self.max_waiting = max_waiting
        self.batches = 0
        self.items = 0
        self._stateless = stateless
        self._cost = cost
        self._budget = budget
        self._seconds = seconds
        self._joined_seconds = joined_seconds
        self._observe = observe
        self._clock = clock
        self._pace = 0.0  # seconds for each unit of cost, as far as is known
        self._queues: tuple[deque[Ticket[Item, Result]], ...] = tuple(deque() for _ in range(PRIORITIES))
        self._running: list[Ticket[Item, Result]] = []
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        """Items that wait; those of the running batch not counted."""
        return sum(map(len, self._queues))

    def __repr__(self) -> str:
        return f"<Batcher waiting={len(self)} running={len(self._running)} batches={self.batches}>"

    def post(
        self, item: Item, done: Callable[[Result | Exception], None], priority: int = 0
    ) -> Ticket[Item, Result]:
        """Queues an item; `done` is called once, on the event loop, with its result or the exception.

        Raises QueueFull, Closed.
        """
        if self._closed:
            raise Closed("the batcher was closed")
        waiting = len(self) - len(self._queues[BULK])
        if 0 < priority < BULK and waiting >= self.max_waiting:
            raise QueueFull(f"{waiting} items wait already")
        ticket: Ticket[Item, Result] = Ticket(item, priority, done, self._clock())
        self._queues[priority].append(ticket)
        self._wake.set()
        return ticket

    async def submit(self, item: Item, priority: int = 0) -> Result:
        """Queues an item and waits for its result. Cancelling takes it out of the queue.

        Raises QueueFull, Closed, or what the model raised.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        ticket = self.post(item, lambda outcome: _resolve(future, outcome), priority)
        try:
            return await future
        finally:
            self.cancel(ticket)

    def promote(self, ticket: Ticket[Item, Result], priority: int) -> None:
        """Makes a waiting item more urgent; it goes behind those that waited in that class already."""
        if ticket.waiting and priority < ticket.priority:
            self._queues[ticket.priority].remove(ticket)
            ticket.priority = priority
            self._queues[priority].append(ticket)

    def cancel(self, ticket: Ticket[Item, Result]) -> bool:
        """Takes a waiting item out, without telling its `done`; false if it runs or ran already."""
        if not ticket.waiting:
            return False
        ticket.waiting = False
        self._queues[ticket.priority].remove(ticket)
        return True

    async def __aenter__(self) -> Self:
        self._loop = asyncio.create_task(self._run(), name="batcher")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        self._closed = True
        self._loop.cancel()
        try:
            await asyncio.gather(self._loop, return_exceptions=True)
        finally:  # also when whoever leaves is cancelled meanwhile
            await self.worker.close()
            for ticket in [*self._running, *(ticket for queue in self._queues for ticket in queue)]:
                ticket.tell(Closed("the batcher was closed"))

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._running = self._take()
            if self._running:
                await self._run_batch(self._running)
                self._running = []
            else:
                self._wake.clear()

    async def _run_batch(self, batch: list[Ticket[Item, Result]]) -> None:
        self.batches += 1
        self.items += len(batch)
        began = self._clock()
        self._observe([Taken(ticket.priority, began - ticket.posted) for ticket in batch])
        try:
            results = await self.worker.run([ticket.item for ticket in batch])
            self._learn(batch, self._clock() - began)
            outcomes = list(zip(batch, results, strict=True))
        except Exception as error:
            await self._run_failed_batch(batch, error)
        else:
            for number, (ticket, result) in enumerate(outcomes, 1):
                ticket.tell(result)
                if number % TOLD_AT_ONCE == 0:
                    await asyncio.sleep(0)

    async def _run_failed_batch(self, batch: list[Ticket[Item, Result]], error: Exception) -> None:
        if len(batch) == 1 or not self._stateless:
            log.error("a batch of %d failed: %r", len(batch), error)
            for ticket in batch:
                ticket.tell(error)
            return
        for ticket in batch:
            await self._run_batch([ticket])

    def _learn(self, batch: list[Ticket[Item, Result]], seconds: float) -> None:
        pace = seconds / max(sum(self._cost(ticket.item) for ticket in batch), 1e-9)
        self._pace += (pace - self._pace) * (NEWEST if self._pace else 1.0)

    def _take(self) -> list[Ticket[Item, Result]]:
        """The next batch, taken out of the queue."""
        batch: list[Ticket[Item, Result]] = []
        cost = 0.0
        for priority, queue in enumerate(self._queues):
            joining = bool(batch) and batch[0].priority < priority
            seconds = self._joined_seconds if joining else self._seconds
            while queue:
                cost += self._cost(queue[0].item)
                full = cost > self._budget or len(batch) == self.max_items or cost * self._pace > seconds
                if batch and full:
                    return batch
                ticket = queue.popleft()
                ticket.waiting = False
                batch.append(ticket)
        return batch


def _resolve(future: asyncio.Future[Result], outcome: Result | Exception) -> None:
    if future.done():
        return  # its caller was cancelled while the batch ran
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
