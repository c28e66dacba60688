"""Batcher: one queue with priorities, one model, no timer. A batch forms while the one before it runs."""

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from batching.errors import BatcherClosed, ModelBroken, ModelDied, QueueFull
from batching.fair_queue import FairQueue
from batching.worker import Worker

Item = TypeVar("Item")
Result = TypeVar("Result")

log = logging.getLogger(__name__)

PRIORITIES: Final = 4  # 0 goes first
BULK: Final = PRIORITIES - 1  # work that nobody waits for live
TOLD_AT_ONCE: Final = 32  # results after which the event loop may do something else
NEWEST: Final = 0.2  # weight of the newest batch in the pace
LIVE_SECONDS: Final = 5.0  # after the last other item, in which BULK still keeps its batches brief


@dataclass(frozen=True, slots=True)
class BatchedItem:
    """What is told of an item in a batch. waited: seconds until it began."""

    priority: int
    waited: float
    item: object = field(default=None, compare=False, repr=False)


def _unobserved(batch: Sequence[BatchedItem]) -> None:
    pass


def _untimed(batch: Sequence[BatchedItem], seconds: float) -> None:
    pass


class Ticket(Generic[Item, Result]):
    """An item's place in the queue, and whom to tell."""

    __slots__ = ("_done", "item", "posted", "priority", "source", "told", "tries", "waiting")

    def __init__(
        self,
        item: Item,
        priority: int,
        done: Callable[[Result | Exception], None],
        posted: float,
        source: Hashable = None,
    ) -> None:
        self.item = item
        self.priority = priority
        self.source = source
        self.posted = posted  # by the batcher's clock
        self.waiting = True  # false once it was taken into a batch, or cancelled
        self.told = False
        self.tries = 0  # batches that it was in
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
    most urgent class first; within a class each source has its turn, oldest first. It is also held to
    `seconds`, by the pace of the batches before it, so that what comes next need not wait longer; with less
    urgent items among them, and of BULK alone while other work keeps coming, to `joined_seconds`.

    Where the model is a pure function of its items (`stateless`), a batch that fails is run again item by
    item, so that a bad item fails alone; else every waiter of the batch is told. Where the model died of it,
    only what `post` always takes in is run again, and some times over: others are extras, not worth a death.

    `observe` is told of each batch that begins, `took` of the seconds of each that succeeded.

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
        observe: Callable[[Sequence[BatchedItem]], None] = _unobserved,
        took: Callable[[Sequence[BatchedItem], float], None] = _untimed,
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
        self._took = took
        self._clock = clock
        self.pace = 0.0  # seconds for each unit of cost; 0 until it is known
        self._queues: tuple[FairQueue[Ticket[Item, Result]], ...] = tuple(
            FairQueue() for _ in range(PRIORITIES)
        )
        self._live_at = float("-inf")  # when something came that is not BULK
        self._running: list[Ticket[Item, Result]] = []
        self._began = 0.0  # they did, by the clock
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        """Items that wait; those of the running batch not counted."""
        return sum(map(len, self._queues))

    def __repr__(self) -> str:
        return f"<Batcher waiting={len(self)} running={len(self._running)} batches={self.batches}>"

    @property
    def lag(self) -> float:
        """Seconds that an item of priority 0 waits: one that came now, by the pace of late, or the oldest so
        far; whichever is more. Takes time in the items that wait."""
        urgent, now = self._queues[0], self._clock()
        running = self.pace * self._cost_of(self._running) - (now - self._began)
        oldest = max((now - ticket.posted for ticket in urgent), default=0.0)
        return max(oldest, max(running, 0.0) + self.pace * self._cost_of(urgent))

    def post(
        self,
        item: Item,
        done: Callable[[Result | Exception], None],
        priority: int = 0,
        source: Hashable = None,
    ) -> Ticket[Item, Result]:
        """Queues an item; `done` is called once, on the event loop, with its result or the exception.

        source: with whose items it shares turns
        Raises QueueFull, Closed.
        """
        if self._closed:
            raise BatcherClosed("the batcher was closed")
        waiting = len(self) - len(self._queues[BULK])
        if 0 < priority < BULK and waiting >= self.max_waiting:
            raise QueueFull(f"{waiting} items wait already")
        ticket: Ticket[Item, Result] = Ticket(item, priority, done, self._clock(), source)
        self._queues[priority].append(ticket, source)
        if priority < BULK:
            self._live_at = ticket.posted
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
        """Makes an item more urgent; if it waits, it goes behind those that waited in that class already."""
        if priority >= ticket.priority:
            return
        if ticket.waiting:
            self._queues[ticket.priority].remove(ticket, ticket.source)
            self._queues[priority].append(ticket, ticket.source)
        ticket.priority = priority

    def cancel(self, ticket: Ticket[Item, Result]) -> bool:
        """Takes a waiting item out, without telling its `done`; false if it runs or ran already."""
        if not ticket.waiting:
            return False
        ticket.waiting = False
        self._queues[ticket.priority].remove(ticket, ticket.source)
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
                ticket.tell(BatcherClosed("the batcher was closed"))

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
        self._began = began = self._clock()
        for ticket in batch:
            ticket.tries += 1
        try:
            taken = [BatchedItem(each.priority, began - each.posted, each.item) for each in batch]
            self._observe(taken)
            results = await self.worker.run([ticket.item for ticket in batch])
            seconds = self._clock() - began
            self._learn(batch, seconds)
            self._took(taken, seconds)
            outcomes = list(zip(batch, results, strict=True))
        except Exception as error:
            await self._run_failed_batch(batch, error)
        else:
            for number, (ticket, result) in enumerate(outcomes, 1):
                ticket.tell(result)
                if number % TOLD_AT_ONCE == 0:
                    await asyncio.sleep(0)

    async def _run_failed_batch(self, batch: list[Ticket[Item, Result]], error: Exception) -> None:
        log.error("a batch of %d failed: %r", len(batch), error)
        again = [ticket for ticket in batch if self._deserves_another(ticket, len(batch), error)]
        for ticket in batch:
            if ticket not in again:
                ticket.tell(error)
        for ticket in again:
            await self._run_batch([ticket])

    def _deserves_another(self, ticket: Ticket[Item, Result], together: int, error: Exception) -> bool:
        """Whether an item is run once more, by itself, after a batch of so many has failed."""
        if not self._stateless or isinstance(error, ModelBroken):
            return False
        if isinstance(error, ModelDied):
            return ticket.priority in (0, BULK) and ticket.tries < error.tries
        return together > 1

    def _learn(self, batch: list[Ticket[Item, Result]], seconds: float) -> None:
        pace = seconds / max(self._cost_of(batch), 1e-9)
        self.pace += (pace - self.pace) * (NEWEST if self.pace else 1.0)

    def _cost_of(self, tickets: Iterable[Ticket[Item, Result]]) -> float:
        return sum(self._cost(ticket.item) for ticket in tickets)

    def _take(self) -> list[Ticket[Item, Result]]:
        """The next batch, taken out of the queue."""
        batch: list[Ticket[Item, Result]] = []
        cost = 0.0
        is_live = self._clock() - self._live_at < LIVE_SECONDS
        for priority, queue in enumerate(self._queues):
            joining = bool(batch) and batch[0].priority < priority
            brief = joining or (priority == BULK and is_live)
            seconds = self._joined_seconds if brief else self._seconds
            while queue:
                cost += self._cost(queue.first().item)
                full = cost > self._budget or len(batch) == self.max_items or cost * self.pace > seconds
                if batch and full:
                    return batch
                ticket = queue.pop()
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
