"""Engine: the models of this server, from loading to the last batch."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from enum import StrEnum
from functools import partial
from types import TracebackType
from typing import Self

import numpy as np

from asr.recognizer import ModelInfo
from audio.clip import HOP
from batching.batcher import BatchedItem, Batcher
from engine.gc_tuning import tune_interpreter
from engine.health import Health
from engine.memory_budget import MemoryBudget
from engine.model_handle import Asr
from engine.model_pool import ModelPool
from engine.options import EngineOptions
from engine.supervisor import Supervisor
from engine.workers import (
    detector_batcher,
    detector_worker,
    recognizer_batcher,
    recognizer_worker,
    unprepared,
)
from streaming.degradation import NO_DEGRADATION, Degradation
from streaming.events import StreamClosed
from streaming.model_clients import DetectorSlots, ModelClients, Probabilities, TaskOutcome
from streaming.utterance import TaskKind
from vad.detector_input import DetectorInput

log = logging.getLogger(__name__)


class EngineState(StrEnum):
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    STOPPED = "stopped"


class Engine:
    """Loads the detector and the default recognizer beside each other, warms them up, and lends them to the
    pumps; the other recognizers come and go.

    An async context manager: entering starts to load and returns at once; leaving stops all that runs.
    `on_failure` is called once there is nothing to serve with: loading has failed, or the detector or the
    default recognizer broke for good. `observe` is called for each batch of a recognizer that begins,
    `batch_took` and `step_took` with the seconds of a batch and of a step of the detector, `tally` for each
    job that is over, `account` with what became of the sound of each session that is, `on_restart` with the
    name of a recognizer that is started again. What is wrong with a model meanwhile stands in `health`.
    `relief` says what streams go without. `prepare`, which can be pickled, is called first in each process of
    a recognizer.
    """

    def __init__(
        self,
        options: EngineOptions,
        on_failure: Callable[[], None] = lambda: None,
        *,
        health: Health | None = None,
        observe: Callable[[Sequence[BatchedItem]], None] = lambda batch: None,
        batch_took: Callable[[Sequence[BatchedItem], float], None] = lambda batch, seconds: None,
        step_took: Callable[[Sequence[BatchedItem], float], None] = lambda batch, seconds: None,
        tally: Callable[[TaskKind, TaskOutcome], None] = lambda kind, fate: None,
        account: Callable[[StreamClosed], None] = lambda closed: None,
        on_restart: Callable[[str], None] = lambda name: None,
        relief: Callable[[], Degradation] = lambda: NO_DEGRADATION,
        prepare: Callable[[], None] = unprepared,
    ) -> None:
        self.state = EngineState.LOADING
        self.error: str | None = None
        self.vad: Batcher[DetectorInput, Probabilities] | None = None
        shelf = MemoryBudget(budget=options.memory_bytes, idle_seconds=options.idle_seconds)
        self.health = health or Health()
        self.recognizers = ModelPool(
            options.recognizers,
            partial(_recognizer, options, prepare, observe, batch_took),
            shelf,
            weigh=_on_disk,
            health=self.health,
            on_restart=on_restart,
            on_broken=self._fail,
        )
        self._options = options
        self._on_failure = on_failure
        self._step_took = step_took
        self._tally = tally
        self._account = account
        self._relief = relief
        self._slots: DetectorSlots
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._loading = asyncio.create_task(self._load(), name="load models")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.state = EngineState.STOPPED
        self._loading.cancel()
        await asyncio.gather(self._loading, return_exceptions=True)
        await self._running.aclose()

    @property
    def ready(self) -> bool:
        """The detector and the default recognizer are loaded and warm."""
        return self.state is EngineState.READY

    async def loaded(self) -> None:
        """Waits until it is ready, or is not going to be."""
        await asyncio.wait([self._loading])

    @property
    def description(self) -> ModelInfo | None:
        """Of the default recognizer, once it is loaded."""
        return self.recognizers.status(self.recognizers.default).description

    @asynccontextmanager
    async def borrow(self, name: str | None = None) -> AsyncIterator[tuple[ModelClients, ModelInfo]]:
        """The detector and a recognizer, for one stream, while the context lasts. Only once it is ready.

        name: one of `recognizers.names`, which is loaded first if it is not there; None is the default.
        Raises Unavailable.
        """
        assert self.vad is not None
        async with self.recognizers.borrow(name or self.recognizers.default) as recognizer:
            description = recognizer.description
            models = ModelClients(
                self._slots,
                self.vad,
                recognizer.asr,
                description.incremental,
                self._tally,
                relief=self._relief,
                account=self._account,
            )
            yield models, description

    async def _load(self) -> None:
        began = time.monotonic()
        try:
            await self._start()
        except Exception as error:  # told in /ready, in the log, and to whoever runs us
            log.error("models could not be loaded: %s", error, exc_info=log.isEnabledFor(logging.DEBUG))
            self._fail(str(error) or type(error).__name__)
            return
        tune_interpreter()
        self.state = EngineState.READY
        log.info("ready in %.1f s: %s", time.monotonic() - began, self.description)
        if self._options.preload:
            for name in self.recognizers.names:
                self.recognizers.preload(name)

    def _fail(self, why: str) -> None:
        if self.state in (EngineState.LOADING, EngineState.READY):
            self.state, self.error = EngineState.FAILED, why
            self._on_failure()

    async def _start(self) -> None:
        await self._running.enter_async_context(self.recognizers)
        await asyncio.gather(self._start_detector(), self._load_default())

    async def _start_detector(self) -> None:
        streams = self._options.streams
        worker = detector_worker(
            self._options.detector_device,
            streams=streams + 1,
            deadline=self._options.detector_deadline_seconds,
            watcher=Supervisor("detector", self.health, on_broken=self._fail),
        )
        vad = await self._running.enter_async_context(
            detector_batcher(worker, streams=streams, took=self._step_took)
        )
        await worker.start()
        await _warm_up(worker.model, vad)
        self._slots, self.vad = worker.model, vad

    async def _load_default(self) -> None:
        async with self.recognizers.borrow(self.recognizers.default):
            pass


async def _warm_up(slots: DetectorSlots, vad: Batcher[DetectorInput, Probabilities]) -> None:
    """A first step, so that the first client does not pay for what is built on first use."""
    slot = slots.open()
    try:
        await vad.submit(DetectorInput(slot, np.zeros((1, HOP), np.float32)))
    finally:
        slots.close(slot)


def _recognizer(
    options: EngineOptions,
    prepare: Callable[[], None],
    observe: Callable[[Sequence[BatchedItem]], None],
    took: Callable[[Sequence[BatchedItem], float], None],
    source: str,
    watchdog: Supervisor,
) -> Asr:
    return recognizer_batcher(
        recognizer_worker(
            source,
            options.load,
            in_process=options.in_process,
            threads=options.threads or max(1, (os.cpu_count() or 1) - 1),
            deadline=options.deadline_seconds,
            watcher=watchdog,
            prepare=prepare,
        ),
        items=options.batch_items,
        audio_seconds=options.batch_audio_seconds,
        waiting=options.queue_items,
        seconds=options.batch_seconds,
        observe=observe,
        took=took,
    )


def _on_disk(source: str) -> int:
    from asr.memory_usage import on_disk  # the hub's client, which takes a quarter of a second

    return on_disk(source)
