"""Collect the items of many callers into batches for one model.

There is no timer: a batch forms while the one before it runs.
"""

import asyncio
import logging
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from batching.cost_model import CostModel
from batching.errors import BatcherClosed, ModelBroken, ModelDied, QueueFull
from batching.worker import Worker

Item = TypeVar("Item")
Result = TypeVar("Result")
Entry = TypeVar("Entry")

log = logging.getLogger(__name__)

PRIORITIES: Final = 4  # priority 0 runs first
BULK: Final = PRIORITIES - 1  # the priority of work for which no live client waits
OPTIONAL: Final = BULK - 1  # the priority of work that later work replaces, and that is not needed
RESULTS_PER_TURN: Final = 32  # results delivered before other tasks of the event loop may run
NEWEST_BATCH_WEIGHT: Final = 0.2  # in the moving averages of the pace
LIVE_SECONDS: Final = 5.0  # after the last live item, for which batches of BULK are still kept short
BACKGROUND_SECONDS: Final = 60.0  # after the last live item, for which BULK still runs in the background
BACKGROUND_RETRY_SECONDS: Final = 60.0  # after a failure of the background worker, without another attempt


@dataclass(frozen=True, slots=True)
class BatchedItem:
    """Describe an item of a batch to an observer.

    waited: seconds between its posting and the start of the batch
    """

    priority: int
    waited: float
    item: object = field(default=None, compare=False, repr=False)


class Ticket(Generic[Item, Result]):
    """Represent a posted item: its place in the queue and the callback for its outcome.

    posted: time of posting, by the batcher's clock
    urgent_since: time from which it waits with its priority, by the batcher's clock
    cost: what it costs, in the batcher's units
    waiting: whether the item is still in the queue, not in a batch and not cancelled
    tries: number of batches that the item was in
    """

    __slots__ = (
        "_done",
        "_resolved",
        "cost",
        "item",
        "posted",
        "priority",
        "source",
        "tries",
        "urgent_since",
        "waiting",
    )

    def __init__(
        self,
        item: Item,
        priority: int,
        done: Callable[[Result | Exception], None],
        posted: float,
        source: Hashable = None,
        cost: float = 1.0,
    ) -> None:
        self.item = item
        self.priority = priority
        self.source = source
        self.posted = posted
        self.urgent_since = posted
        self.cost = cost
        self.waiting = True
        self.tries = 0
        self._resolved = False
        self._done = done

    def resolve(self, outcome: Result | Exception) -> None:
        """Pass the outcome to the caller; only the first outcome counts."""
        if self._resolved:
            return
        self._resolved = True
        try:
            self._done(outcome)
        except Exception:  # an error of one caller must not stop the batcher for all others
            log.exception("batcher.callback_failed")


class FairQueue(Generic[Entry]):
    """Serve sources round robin, and the entries of one source oldest first.

    After Nagle, RFC 970: "On packet switches with infinite storage". Of the entries that came after a given
    one, at most one of each other source is served before it. Where each source has one entry, the oldest is
    served first. The queue is unbounded: its user limits what it appends.

    size: number of entries
    """

    def __init__(self) -> None:
        self.size = 0
        self._lines: OrderedDict[Hashable, deque[Entry]] = OrderedDict()  # none empty, in order of turns

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[Entry]:
        """Iterate over all entries, in no particular order."""
        for line in self._lines.values():
            yield from line

    def append(self, entry: Entry, source: Hashable) -> None:
        """Add an entry; a source without waiting entries gets its turn after all that have some."""
        line = self._lines.get(source)
        if line is None:
            self._lines[source] = line = deque()
        line.append(entry)
        self.size += 1

    def first(self) -> Entry:
        """Return the entry that `pop` would take. Raises StopIteration if the queue is empty."""
        return next(iter(self._lines.values()))[0]

    def pop(self) -> Entry:
        """Take the first entry; its source goes to the end. Raises StopIteration if the queue is empty."""
        source, line = next(iter(self._lines.items()))
        entry = line.popleft()
        self.size -= 1
        if line:
            self._lines.move_to_end(source)
        else:
            del self._lines[source]
        return entry

    def remove(self, entry: Entry, source: Hashable) -> None:
        """Remove a waiting entry."""
        line = self._lines[source]
        line.remove(entry)
        self.size -= 1
        if not line:
            del self._lines[source]


class TicketQueue(FairQueue[Ticket[Item, Result]]):
    """Serve tickets as a fair queue does, and know their total cost and the one that waits longest.

    Both take constant time. Tickets are appended in the order of `urgent_since`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._cost = 0.0
        self._arrivals: OrderedDict[Ticket[Item, Result], None] = OrderedDict()

    @property
    def cost(self) -> float:
        """The sum of the costs of the waiting tickets."""
        return self._cost if self._arrivals else 0.0

    @property
    def longest_waiting(self) -> Ticket[Item, Result] | None:
        """The ticket that was appended first; None if the queue is empty."""
        return next(iter(self._arrivals), None)

    def append(self, entry: Ticket[Item, Result], source: Hashable) -> None:
        """Add a ticket; a source without waiting ones gets its turn after all that have some."""
        super().append(entry, source)
        self._cost = self.cost + entry.cost  # begins at 0 after the queue was empty: rounding does not add up
        self._arrivals[entry] = None

    def pop(self) -> Ticket[Item, Result]:
        """Take the first ticket; its source goes to the end. Raises StopIteration if the queue is empty."""
        entry = super().pop()
        self._forget(entry)
        return entry

    def remove(self, entry: Ticket[Item, Result], source: Hashable) -> None:
        """Remove a waiting ticket."""
        super().remove(entry, source)
        self._forget(entry)

    def _forget(self, entry: Ticket[Item, Result]) -> None:
        del self._arrivals[entry]
        self._cost -= entry.cost


class Batcher(Generic[Item, Result]):
    """Run the items of many callers on one model, in batches.

    The queue holds at most `max_waiting` items. Beyond that `post` accepts only priority 0 and BULK, whose
    numbers their callers limit, and raises QueueFull for the rest; items of BULK do not count.

    A batch holds at most `max_items` items whose costs sum to at most `budget`, but always at least one. The
    most urgent class goes first; within a class the sources take turns, oldest item first. A batch is also
    limited to `seconds`, estimated from recent batches, so that later items wait no longer than that. The
    limit is `joined_seconds` for a batch to which less urgent items are added, and for a batch of BULK while
    live work keeps coming.

    Where the model is a pure function of its items (`stateless`), the items of a failed batch run again one
    by one, so that a bad item fails alone; otherwise the whole batch fails. If the model died, only those of
    priority 0 and BULK run again, a limited number of times: the others are optional.

    A running batch cannot be interrupted, so a live item could wait for a long one of BULK. With a
    `background` worker, which runs the same model beside this one at a lower priority of the operating
    system, items of BULK run there for as long as live work keeps coming. If it fails, they run here.

    An async context manager: leaving it closes the workers; items without a result fail with BatcherClosed.

    learns: whether it learns how long batches take, for `seconds`, `lag` and `pace`; without it, batches are
        limited by `max_items` and `budget` alone, and `lag` is how long the first item waits
    background: may be set at any time before it is closed
    cost: cost of an item; without it each item costs 1. How long items take is learned from their number and
        their cost
    on_batch: called with each batch that starts
    on_batch_done: called with each batch that succeeded and its duration in seconds
    """

    def __init__(
        self,
        worker: Worker[Item, Result],
        *,
        max_items: int,
        max_waiting: int,
        stateless: bool = True,
        learns: bool = True,
        cost: Callable[[Item], float] | None = None,
        budget: float = float("inf"),
        seconds: float = float("inf"),
        joined_seconds: float = float("inf"),
        on_batch: Callable[[Sequence[BatchedItem]], None] | None = None,
        on_batch_done: Callable[[Sequence[BatchedItem], float], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.worker = worker
        self.background: Worker[Item, Result] | None = None
        self.max_items = max_items
        self.max_waiting = max_waiting
        self.batches = 0
        self.items = 0
        self._stateless = stateless
        self._learns = learns
        self._cost = cost
        self._budget = budget
        self._seconds = seconds
        self._joined_seconds = joined_seconds
        self._on_batch = on_batch
        self._on_batch_done = on_batch_done
        self._clock = clock
        self._model = CostModel()
        # Of needed work: seconds per unit of cost, from moving averages; 0 until the first batch is done.
        self.pace = 0.0
        self._needed_seconds = 0.0
        self._needed_cost = 0.0
        self._queues: tuple[TicketQueue[Item, Result], ...] = tuple(TicketQueue() for _ in range(PRIORITIES))
        self._live_at = float("-inf")  # when the last item that is not BULK came, by the clock
        self._running: list[Ticket[Item, Result]] = []
        self._began = 0.0  # when the running batch started, by the clock
        self._in_background: list[Ticket[Item, Result]] = []  # the running batch of the background worker
        self._background_from = float("-inf")  # when the background worker may be used, by the clock
        self._wake = asyncio.Event()
        self._wake_background = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self._closed = False

    def __len__(self) -> int:
        """Return the number of waiting items, without those of the running batch."""
        return sum(queue.size for queue in self._queues)

    def __repr__(self) -> str:
        return f"<Batcher waiting={len(self)} running={len(self._running)} batches={self.batches}>"

    @property
    def is_busy(self) -> bool:
        """Whether a batch runs, or waits for the model to be started again."""
        return bool(self._running or self._in_background)

    @property
    def lag(self) -> float:
        """Seconds that an item of priority 0 waits. Takes the same time however many items wait.

        The larger of two values: the estimate for an item posted now, and how long the first of them waits
        with this priority.
        """
        urgent, now = self._queues[0], self._clock()
        running = self._seconds_of(self._running) - (now - self._began)
        first = urgent.longest_waiting
        waited = 0.0 if first is None else now - first.urgent_since
        return max(waited, max(running, 0.0) + self._forecast(urgent.size, urgent.cost))

    def post(
        self,
        item: Item,
        done: Callable[[Result | Exception], None],
        priority: int = 0,
        source: Hashable = None,
    ) -> Ticket[Item, Result]:
        """Queue an item; `done` is called once, on the event loop, with its result or the exception.

        source: items of different sources take turns
        Raises QueueFull, BatcherClosed.
        """
        if self._closed:
            raise BatcherClosed("the batcher was closed")
        if 0 < priority < BULK:
            waiting = len(self) - self._queues[BULK].size
            if waiting >= self.max_waiting:
                raise QueueFull(f"the queue is full: {waiting} items wait")
        posted = self._clock()
        cost = 1.0 if self._cost is None else self._cost(item)
        ticket: Ticket[Item, Result] = Ticket(item, priority, done, posted, source, cost)
        self._queues[priority].append(ticket, source)
        if priority < BULK:
            self._live_at = posted
        self._wake_loops()
        return ticket

    async def submit(self, item: Item, priority: int = 0) -> Result:
        """Queue an item and wait for its result. Cancelling takes it out of the queue.

        Raises QueueFull, BatcherClosed, or what the model raised.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        ticket = self.post(item, lambda outcome: _resolve(future, outcome), priority)
        try:
            return await future
        finally:
            self.cancel(ticket)

    def promote(self, ticket: Ticket[Item, Result], priority: int) -> None:
        """Make an item more urgent; if it waits, it goes behind those that wait in that class already."""
        if priority >= ticket.priority:
            return
        if ticket.waiting:
            self._queues[ticket.priority].remove(ticket, ticket.source)
            self._live_at = ticket.urgent_since = self._clock()
            self._queues[priority].append(ticket, ticket.source)
            self._wake_loops()
        ticket.priority = priority

    def cancel(self, ticket: Ticket[Item, Result]) -> bool:
        """Remove a waiting item without calling its `done`; return False if it runs or ran already."""
        if not ticket.waiting:
            return False
        ticket.waiting = False
        self._queues[ticket.priority].remove(ticket, ticket.source)
        return True

    async def __aenter__(self) -> Self:
        self._loops = [
            asyncio.create_task(self._run(), name="batcher"),
            asyncio.create_task(self._run_background(), name="batcher background"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        for loop in self._loops:
            loop.cancel()
        try:
            await asyncio.gather(*self._loops, return_exceptions=True)
        finally:  # also when the task that leaves the context is cancelled meanwhile
            await self.worker.close()
            if self.background is not None:
                await self.background.close()
            waiting = [ticket for queue in self._queues for ticket in queue]
            for ticket in [*self._running, *self._in_background, *waiting]:
                ticket.resolve(BatcherClosed("the batcher was closed"))

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._running = self._take()
            if self._running:
                await self._run_batch(self._running, self.worker)
                self._running = []
            else:
                self._wake.clear()

    async def _run_background(self) -> None:
        """Run items of BULK on the background worker while live work keeps coming."""
        while True:
            await self._wake_background.wait()
            worker = self.background
            if worker is None or not self._uses_background or not self._queues[BULK].size:
                self._wake_background.clear()
                self._wake.set()  # what is left is for the other loop
                continue
            batch: list[Ticket[Item, Result]] = []
            self._fill(batch, BULK, self._seconds)
            self._in_background = batch
            await self._run_batch(batch, worker)
            self._in_background = []

    @property
    def _uses_background(self) -> bool:
        """Whether items of BULK run on the background worker at the moment."""
        if self.background is None:
            return False
        now = self._clock()
        return now - self._live_at < BACKGROUND_SECONDS and now >= self._background_from

    def _wake_loops(self) -> None:
        self._wake.set()
        if self._queues[BULK].size:
            self._wake_background.set()

    async def _run_batch(self, batch: list[Ticket[Item, Result]], worker: Worker[Item, Result]) -> None:
        self.batches += 1
        self.items += len(batch)
        began = self._clock()
        if worker is self.worker:
            self._began = began
        items: list[Item] = []
        for ticket in batch:
            ticket.tries += 1
            items.append(ticket.item)
        try:
            batched: list[BatchedItem] = []
            if self._on_batch is not None or self._on_batch_done is not None:
                batched = [BatchedItem(each.priority, began - each.posted, each.item) for each in batch]
            if self._on_batch is not None:
                self._on_batch(batched)
            results = await worker.run(items)
            seconds = self._clock() - began
            # In the background, a batch takes as long as others leave it to.
            if self._learns and worker is self.worker:
                self._learn(batch, seconds)
            if self._on_batch_done is not None:
                self._on_batch_done(batched, seconds)
            outcomes = list(zip(batch, results, strict=True))
        except Exception as error:
            await self._run_failed_batch(batch, worker, error)
        else:
            for number, (ticket, result) in enumerate(outcomes, 1):
                ticket.resolve(result)
                if number % RESULTS_PER_TURN == 0:
                    await asyncio.sleep(0)

    async def _run_failed_batch(
        self, batch: list[Ticket[Item, Result]], worker: Worker[Item, Result], error: Exception
    ) -> None:
        if worker is not self.worker and isinstance(error, ModelBroken):
            self._give_back(batch, error)
            return
        log.error("batch.failed items=%d error=%r", len(batch), error)
        again = [ticket for ticket in batch if self._may_retry(ticket, len(batch), error)]
        for ticket in batch:
            if ticket not in again:
                ticket.resolve(error)
        for ticket in again:
            await self._run_batch([ticket], worker)

    def _give_back(self, batch: list[Ticket[Item, Result]], error: ModelBroken) -> None:
        """Put what the background worker could not run back into the queue, and do without it a while."""
        log.warning("batcher.no_background items=%d: %s", len(batch), error)
        self._background_from = self._clock() + BACKGROUND_RETRY_SECONDS
        for ticket in batch:
            ticket.waiting = True
            ticket.tries -= 1
            self._queues[ticket.priority].append(ticket, ticket.source)
        self._wake.set()

    def _may_retry(self, ticket: Ticket[Item, Result], batch_size: int, error: Exception) -> bool:
        """Return whether an item of a failed batch runs once more, by itself."""
        if not self._stateless or isinstance(error, ModelBroken):
            return False
        if isinstance(error, ModelDied):
            return ticket.priority in (0, BULK) and ticket.tries < error.tries
        return batch_size > 1

    def _learn(self, batch: list[Ticket[Item, Result]], seconds: float) -> None:
        """Learn from a finished batch. All work counts for the model, and only needed work for the pace."""
        cost = needed_cost = _cost_of(batch)
        self._model.learn(len(batch), cost, seconds)
        needed = [ticket for ticket in batch if ticket.priority != OPTIONAL]
        if not needed:
            return
        share = 1.0
        if len(needed) < len(batch):
            needed_cost = _cost_of(needed)
            of_needed = self._model.seconds(len(needed), needed_cost) * len(needed) / len(batch)
            share = of_needed / max(self._model.seconds(len(batch), cost), 1e-9)
        kept = 1 - NEWEST_BATCH_WEIGHT
        self._needed_seconds = kept * self._needed_seconds + share * seconds
        self._needed_cost = kept * self._needed_cost + needed_cost
        self.pace = self._needed_seconds / max(self._needed_cost, 1e-9)

    def _seconds_of(self, batch: list[Ticket[Item, Result]]) -> float:
        """Return the expected duration of one batch."""
        return self._model.seconds(len(batch), _cost_of(batch), bool(batch))

    def _forecast(self, items: int, cost: float) -> float:
        """Return the expected time for this many items, in as few batches as the limits permit."""
        of_items = self._model.seconds(items, cost, 0)
        left = self._seconds - self._model.batch_seconds
        by_time = math.ceil(of_items / left) if left > 0 else items
        by_size = math.ceil(max(items / self.max_items, cost / self._budget))
        return of_items + self._model.batch_seconds * min(items, max(by_time, by_size))

    def _take(self) -> list[Ticket[Item, Result]]:
        """Take the next batch out of the queue."""
        batch: list[Ticket[Item, Result]] = []
        for priority, queue in enumerate(self._queues):
            if not queue.size:
                continue
            if priority == BULK and self._uses_background:
                self._wake_background.set()
                break
            is_joined = bool(batch) and batch[0].priority < priority
            is_short = is_joined or (priority == BULK and self._clock() - self._live_at < LIVE_SECONDS)
            if not self._fill(batch, priority, self._joined_seconds if is_short else self._seconds):
                break
        return batch

    def _fill(self, batch: list[Ticket[Item, Result]], priority: int, seconds: float) -> bool:
        """Move items of a priority from the queue to a batch.

        seconds: limit of the batch. Returns False if the batch is full and items are left.
        """
        queue, cost = self._queues[priority], _cost_of(batch)
        while queue.size:
            cost += queue.first().cost
            if batch and (
                cost > self._budget
                or len(batch) == self.max_items
                or self._model.seconds(len(batch) + 1, cost) > seconds
            ):
                return False
            ticket = queue.pop()
            ticket.waiting = False
            batch.append(ticket)
        return True


def _cost_of(tickets: Iterable[Ticket[Item, Result]]) -> float:
    cost = 0.0
    for ticket in tickets:  # A generator for `sum` would be called once for each ticket.
        cost += ticket.cost
    return cost


def _resolve(future: asyncio.Future[Result], outcome: Result | Exception) -> None:
    if future.done():
        return  # its caller was cancelled while the batch ran
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
