"""Load recognizers by name on first use, share them between sessions and unload idle ones."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Final, Self

from asr.recognizer import Hypothesis, ModelInfo, RecognitionRequest
from batching.lazy_worker import LazyWorker
from batching.worker import Worker
from engine.health import Health
from engine.load_progress import Download
from engine.memory_budget import MIB, BudgetExceeded, MemoryBudget, Reservation
from engine.model_handle import Asr, ModelHandle, ModelSlot, ModelState, RunningModel
from engine.recognizer_process import LoadedModelInfo
from engine.supervisor import Supervisor

log = logging.getLogger(__name__)

BuildBackground = Callable[[str, Supervisor], Worker[RecognitionRequest, Hypothesis]]

RETRY_SECONDS: Final = (
    10.0  # After a failed load its error is returned for this time, without another attempt.
)


class ModelNotReady(Exception):
    """A recognizer cannot be used now, but perhaps later; the message is for the operator of the server."""


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """Report the state of a recognizer.

    memory: bytes, including those of replaced recognizers of the name
    users: sessions, including those of replaced recognizers of the name
    error: why the last load failed
    description: description of the recognizer that serves new sessions
    download: of the recognizer that loads; None if it needs none
    conversion_seconds: for how long the model of the recognizer that loads has been converted for another
        family; None if it is not being converted
    """

    name: str
    state: ModelState
    memory: int
    users: int
    error: str | None
    description: ModelInfo | None
    download: Download | None
    conversion_seconds: int | None


class ModelPool:
    """Load, share and unload recognizers by name.

    It is an async context manager; leaving it stops all recognizers.

    sources: sources by name; the first one is the default, which stays loaded
    build: builds a batcher for a source, which the pool enters. Its worker informs the supervisor and has a
        LoadedModelInfo as description
    build_background: builds a worker for the same source that uses only what others leave of the processor,
        for files beside live streams (Batcher.background). It is used for recognizers on a CPU and loaded
        when it is needed, if the memory budget allows it
    budget: memory budget that only this pool uses
    estimate_memory: returns the bytes that a source may take before its first load; it may block
    retry_seconds: time after a failed load in which it is not tried again
    health: receives the problems of recognizers; only those of the default one are critical
    on_restart: called with the name of a recognizer that is restarted
    on_broken: called with the reason when the default recognizer is broken. Another broken recognizer is
        loaded again for new sessions
    """

    def __init__(
        self,
        sources: Mapping[str, str],
        build: Callable[[str, Supervisor], Asr],
        budget: MemoryBudget,
        *,
        build_background: BuildBackground | None = None,
        estimate_memory: Callable[[str], int] = lambda source: 0,
        retry_seconds: float = RETRY_SECONDS,
        health: Health | None = None,
        on_restart: Callable[[str], None] = lambda name: None,
        on_broken: Callable[[str], None] = lambda why: None,
    ) -> None:
        self._slots = {name: ModelSlot(name, source) for name, source in sources.items()}
        self.default = next(iter(self._slots))
        self._build = build
        self._build_background = build_background
        self._budget = budget
        self._estimate_memory = estimate_memory
        self._retry_seconds = retry_seconds
        self._health = health or Health()
        self._on_restart = on_restart
        self._on_broken = on_broken
        self._handles: dict[Reservation, ModelHandle] = {}
        self._unloading: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._finished_batches = self._finished_items = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        handles = list(self._handles.values())
        for handle in handles:
            if handle.running is None:
                handle.task.cancel()
            else:
                handle.unload_requested.set()
        await asyncio.gather(*(handle.task for handle in handles), return_exceptions=True)
        for handle in handles:
            handle.load_ended.set()  # The task may have been cancelled before its first step.

    # State

    @property
    def names(self) -> Sequence[str]:
        """Return the names of all recognizers, the default first."""
        return list(self._slots)

    def resolve(self, name: str) -> str | None:
        """Return the name in this pool for the name that a client uses; None if it is unknown.

        The id of the default recognizer's model is an alias of its name once it is loaded.
        """
        if name in self._slots:
            return name
        description = self.status(self.default).description
        return self.default if description and description.model == name else None

    def status(self, name: str) -> ModelStatus:
        """Return the state of a name. Raises KeyError."""
        slot = self._slots[name]
        reservations = [reservation for reservation in self._handles if reservation.name == name]
        active = slot.active.running if slot.active else None
        progress = slot.loading.supervisor.progress if slot.loading else None
        return ModelStatus(
            name,
            slot.state,
            memory=sum(reservation.memory for reservation in reservations),
            users=sum(reservation.users for reservation in reservations),
            error=slot.error,
            description=active.description if active else None,
            download=progress.download if progress else None,
            conversion_seconds=progress.conversion_seconds if progress else None,
        )

    @property
    def loaded(self) -> int:
        """Return the number of loaded recognizers."""
        return len(self._budget)

    @property
    def memory(self) -> int:
        """Return the bytes of all recognizers, with the expected bytes of those that load."""
        return self._budget.memory

    @property
    def lag(self) -> float:
        """Return the seconds for which finals wait for the recognizer with the longest queue."""
        return max((asr.lag for asr in self._batchers()), default=0.0)

    @property
    def waiting(self) -> int:
        """Return the number of tasks that wait for a recognizer."""
        return sum(map(len, self._batchers()))

    @property
    def batches(self) -> int:
        """Return the number of batches so far, including those of unloaded recognizers."""
        return self._finished_batches + sum(asr.batches for asr in self._batchers())

    @property
    def items(self) -> int:
        """Return the number of tasks in these batches."""
        return self._finished_items + sum(asr.items for asr in self._batchers())

    def _batchers(self) -> list[Asr]:
        return [handle.running.asr for handle in self._handles.values() if handle.running]

    # Use

    @asynccontextmanager
    async def acquire(self, name: str) -> AsyncIterator[RunningModel]:
        """Provide a recognizer for the duration of the context, and load it first if necessary.

        Concurrent callers wait for the same load, which continues if a caller stops waiting.
        Raises KeyError and ModelNotReady.
        """
        handle = self._handle_for(self._slots[name])
        self._budget.acquire(handle.reservation)
        try:
            yield await _wait_until_loaded(handle)
        finally:
            self._budget.release(handle.reservation, self._now())
            self._evict_idle()

    def preload(self, name: str) -> None:
        """Start to load a recognizer, unless it is loaded. Raises KeyError and ModelNotReady."""
        self._handle_for(self._slots[name])

    def _handle_for(self, slot: ModelSlot) -> ModelHandle:
        if slot.handle is not None:
            return slot.handle
        if slot.error is not None and self._now() < slot.retry_at:
            raise ModelNotReady(slot.error)
        return self._start_loading(slot)

    def _start_loading(self, slot: ModelSlot) -> ModelHandle:
        if self._closed:
            raise ModelNotReady("the server is stopping")
        first = slot.name == self.default and slot.active is None
        handle = ModelHandle(self._budget.add(slot.name, pinned=first))
        handle.supervisor = Supervisor(
            f"recognizer {slot.name}",
            self._health,
            critical=slot.name == self.default,
            on_restart=partial(self._on_restart, slot.name),
            on_broken=partial(self._on_model_broken, slot, handle.reservation),
        )
        handle.task = asyncio.create_task(self._run(slot, handle), name=f"recognizer {slot.name}")
        self._handles[handle.reservation] = handle
        slot.loading = handle
        return handle

    # Loading

    async def _run(self, slot: ModelSlot, handle: ModelHandle) -> None:
        try:
            await self._wait_for_capacity(handle, await self._expected_memory(slot))
            async with self._build(slot.source, handle.supervisor) as asr:
                began = self._now()
                log.info("model.loading name=%s", slot.name)
                await asr.worker.start()
                report = asr.worker.description
                assert isinstance(report, LoadedModelInfo)
                slot.memory = report.memory or handle.reservation.memory
                await self._wait_for_capacity(handle, slot.memory)
                seconds, mib = self._now() - began, slot.memory / MIB
                log.info(
                    "model.loaded name=%s seconds=%.1f memory_mib=%.0f %s",
                    slot.name,
                    seconds,
                    mib,
                    report.description.summary,
                )
                if report.description.fallback:
                    log.warning("model.fallback name=%s: %s", slot.name, report.description.fallback)
                if report.description.device == "cpu":
                    asr.background = self._background(slot)
                self._activate(slot, handle, RunningModel(asr, report.description))
                await handle.unload_requested.wait()
            log.info("model.unloaded name=%s", slot.name)
        except Exception as error:  # Reported to the waiting callers, in the log and in /ready.
            self._fail(slot, handle, error)
        finally:
            self._remove(slot, handle)

    def _background(self, slot: ModelSlot) -> LazyWorker[RecognitionRequest, Hypothesis] | None:
        if self._build_background is None:
            return None
        name = f"recognizer {slot.name} in the background"
        supervisor = Supervisor(name, self._health, critical=False)
        build = partial(self._build_background, slot.source, supervisor)
        return LazyWorker(build, name=name, hold=partial(self._hold_background, slot, supervisor))

    @contextmanager
    def _hold_background(self, slot: ModelSlot, supervisor: Supervisor) -> Iterator[None]:
        """Reserve the memory of a second recognizer of a name. Raises BudgetExceeded."""
        reservation = self._budget.add(f"{slot.name} in the background")
        try:
            self._unload(self._budget.reserve(reservation, slot.memory))
            yield
        finally:
            supervisor.close()
            self._budget.remove(reservation)

    async def _expected_memory(self, slot: ModelSlot) -> int:
        if slot.memory or not self._budget.budget:
            return slot.memory
        return await asyncio.to_thread(self._estimate_memory, slot.source)

    async def _wait_for_capacity(self, handle: ModelHandle, memory: int) -> None:
        """Reserve memory, and wait until all evicted recognizers are unloaded. Raises BudgetExceeded."""
        self._unload(self._budget.reserve(handle.reservation, memory))
        if self._unloading:
            await asyncio.wait(self._unloading)

    def _activate(self, slot: ModelSlot, handle: ModelHandle, running: RunningModel) -> None:
        if slot.active is not None:
            self._budget.replace(slot.active.reservation, handle.reservation)
        slot.active, slot.loading, slot.error = handle, None, None
        handle.running = running
        self._budget.mark_loaded(handle.reservation, self._now())
        handle.load_ended.set()
        self._evict_idle()

    def _fail(self, slot: ModelSlot, handle: ModelHandle, error: Exception) -> None:
        handle.error = slot.error = str(error) or type(error).__name__
        # Memory can become free at any time, and checking for it is cheap, so there is no delay.
        slot.retry_at = self._now() + (0 if isinstance(error, BudgetExceeded) else self._retry_seconds)
        log.error(
            "model.load_failed name=%s: %s", slot.name, handle.error, exc_info=log.isEnabledFor(logging.DEBUG)
        )

    def _on_model_broken(self, slot: ModelSlot, reservation: Reservation, why: str) -> None:
        """Record that a recognizer is broken; sessions that use it keep it and get the error."""
        slot.error, slot.retry_at = why, self._now() + self._retry_seconds
        if slot.name == self.default and slot.active is self._handles[reservation]:
            self._on_broken(why)

    def _remove(self, slot: ModelSlot, handle: ModelHandle) -> None:
        """Remove a recognizer that has ended, and wake the callers that wait for it."""
        handle.supervisor.close()
        self._budget.remove(handle.reservation)
        del self._handles[handle.reservation]
        if slot.loading is handle:
            slot.loading = None
        if slot.active is handle:
            slot.active = None
        if handle.running is not None:
            self._finished_batches += handle.running.asr.batches
            self._finished_items += handle.running.asr.items
        handle.load_ended.set()

    # Unloading

    def _evict_idle(self) -> None:
        """Unload recognizers that have been idle for too long, and schedule the next check."""
        if self._closed:
            return
        self._unload(self._budget.evict_idle(self._now()))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        departure = self._budget.next_eviction()
        if departure is not None:
            self._timer = asyncio.get_running_loop().call_at(departure, self._evict_idle)

    def _unload(self, reservations: list[Reservation]) -> None:
        for reservation in reservations:
            handle, slot = self._handles[reservation], self._slots[reservation.name]
            if slot.active is handle:
                slot.active = None
            self._unloading.add(handle.task)
            handle.task.add_done_callback(self._unloading.discard)
            handle.unload_requested.set()

    @staticmethod
    def _now() -> float:
        """Return the time of the event loop in seconds."""
        return asyncio.get_running_loop().time()


async def _wait_until_loaded(handle: ModelHandle) -> RunningModel:
    await handle.load_ended.wait()
    if handle.running is None:
        raise ModelNotReady(handle.error or "the server is stopping")
    return handle.running
