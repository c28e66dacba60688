"""Load the detector and the recognizers of a server, and provide them to streams."""

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

from asr.errors import ModelUnavailable
from asr.recognizer import Hypothesis, ModelInfo, RecognitionRequest
from asr.smart_turn import SmartTurn
from audio.clip import HOP, Clip
from batching.batcher import BatchedItem, Batcher
from batching.worker import Worker
from engine.gc_tuning import tune_interpreter
from engine.health import Health
from engine.memory_budget import MemoryBudget
from engine.model_handle import Asr
from engine.model_pool import ModelNotReady, ModelPool
from engine.options import EngineOptions
from engine.recognizer_process import prepare_nothing
from engine.speaker_model import SpeakerModel, StepModel, speaker_worker, step_worker
from engine.supervisor import Supervisor
from engine.workers import (
    TurnModel,
    detector_batcher,
    detector_worker,
    recognizer_batcher,
    recognizer_worker,
    turn_batcher,
    turn_worker,
)
from streaming.degradation import NO_DEGRADATION, Degradation
from streaming.events import StreamClosed
from streaming.model_clients import DetectorSlots, ModelClients, Probabilities, TaskOutcome
from streaming.spool import Spool
from streaming.utterance import TaskKind
from vad.detector_input import DetectorInput

log = logging.getLogger(__name__)


class EngineState(StrEnum):
    """The state of an engine, as /ready reports it."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    STOPPED = "stopped"


class Engine:
    """Load the detector and the default recognizer concurrently, and the other recognizers on demand.

    It is an async context manager: entering it starts to load and returns at once; leaving it stops all.

    on_failure: called once when loading has failed, or when the detector or the default recognizer is broken
    health: receives the problems of the models
    on_batch: called with each batch of a recognizer that begins
    on_batch_done: called with each batch of a recognizer that succeeded and its seconds
    on_step_done: called with each step of the detector and its seconds
    on_task_done: called with the kind and the outcome of each recognition task
    on_stream_closed: called with the sample accounting of each stream that has ended
    on_restart: called with the name of a recognizer that is restarted
    degradation: returns what streams omit under load
    prepare: called first in each process of a recognizer; it must be picklable
    load_turn_model: loads the model of the end of a turn; called with whether its file may be downloaded
    """

    def __init__(
        self,
        options: EngineOptions,
        on_failure: Callable[[], None] = lambda: None,
        *,
        health: Health | None = None,
        on_batch: Callable[[Sequence[BatchedItem]], None] = lambda batch: None,
        on_batch_done: Callable[[Sequence[BatchedItem], float], None] = lambda batch, seconds: None,
        on_step_done: Callable[[Sequence[BatchedItem], float], None] = lambda batch, seconds: None,
        on_task_done: Callable[[TaskKind, TaskOutcome], None] = lambda kind, outcome: None,
        on_stream_closed: Callable[[StreamClosed], None] = lambda closed: None,
        on_restart: Callable[[str], None] = lambda name: None,
        degradation: Callable[[], Degradation] = lambda: NO_DEGRADATION,
        prepare: Callable[[], None] = prepare_nothing,
        load_turn_model: Callable[[bool], TurnModel] = SmartTurn.load,
    ) -> None:
        self.state = EngineState.LOADING
        self.error: str | None = None
        self.vad: Batcher[DetectorInput, Probabilities] | None = None
        self.turn_model: Batcher[Clip, float] | None = None
        budget = MemoryBudget(budget=options.memory_bytes, idle_seconds=options.idle_seconds)
        self.health = health or Health()
        self.recognizers = ModelPool(
            options.recognizers,
            partial(_recognizer, options, prepare, on_batch, on_batch_done),
            budget,
            build_background=partial(_recognizer_worker, options, prepare, in_background=True)
            if options.in_process
            else None,
            estimate_memory=_weights_size,
            health=self.health,
            on_restart=on_restart,
            on_broken=self._fail,
        )
        watcher = Supervisor("speakers", self.health, critical=False)
        self.speakers = (
            SpeakerModel(partial(speaker_worker, prepare=prepare, watcher=watcher))
            if options.distinguishes_speakers
            else None
        )
        self.speaker_steps = _step_model(options, prepare, watcher)
        self._options = options
        self._on_failure = on_failure
        self._on_step_done = on_step_done
        self._on_task_done = on_task_done
        self._on_stream_closed = on_stream_closed
        self._degradation = degradation
        self._load_turn_model = load_turn_model
        self._slots: DetectorSlots
        self._spool = Spool(options.spool_minutes)
        self._loading: asyncio.Task[None] | None = None
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._loading = asyncio.create_task(self._load(), name="load models")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.state = EngineState.STOPPED
        assert self._loading is not None
        self._loading.cancel()
        await asyncio.gather(self._loading, return_exceptions=True)
        await self._running.aclose()
        self._spool.close()

    @property
    def ready(self) -> bool:
        """Return whether the detector and the default recognizer are loaded and warmed up."""
        return self.state is EngineState.READY

    async def loaded(self) -> None:
        """Wait until loading has succeeded or failed. Call it inside the context only."""
        assert self._loading is not None
        await asyncio.wait([self._loading])

    @property
    def description(self) -> ModelInfo | None:
        """Return the description of the default recognizer; None until it is loaded."""
        return self.recognizers.status(self.recognizers.default).description

    @asynccontextmanager
    async def acquire(self, name: str | None = None) -> AsyncIterator[tuple[ModelClients, ModelInfo]]:
        """Provide the detector and a recognizer to one stream for the duration of the context.

        Waits while the engine loads.
        name: one of `recognizers.names`, which is loaded first if necessary; None for the default
        Raises ModelNotReady if the engine is not ready then, or the recognizer cannot be loaded.
        """
        if self.state is EngineState.LOADING and self._loading is not None:
            await self.loaded()
        if not self.ready or self.vad is None:
            raise ModelNotReady(self.error or "the server is stopping")
        async with self.recognizers.acquire(name or self.recognizers.default) as recognizer:
            description = recognizer.description
            models = ModelClients(
                self._slots,
                self.vad,
                recognizer.asr,
                description.incremental,
                description.continues,
                self._on_task_done,
                degradation=self._degradation,
                on_stream_closed=self._on_stream_closed,
                turn_model=self.turn_model,
                languages=description.languages,
                spool=self._spool,
                speakers=self.speakers,
                speaker_steps=self.speaker_steps,
            )
            yield models, description

    async def _load(self) -> None:
        began = time.monotonic()
        try:
            await self._start()
        except Exception as error:  # Reported in /ready, in the log and to the caller.
            log.error("engine.load_failed: %s", error, exc_info=log.isEnabledFor(logging.DEBUG))
            self._fail(str(error) or type(error).__name__)
            return
        tune_interpreter()
        self.state = EngineState.READY
        log.info("engine.ready seconds=%.1f", time.monotonic() - began)
        if self._options.preload:
            for name in self.recognizers.names:
                self.recognizers.preload(name)

    def _fail(self, why: str) -> None:
        if self.state in (EngineState.LOADING, EngineState.READY):
            self.state, self.error = EngineState.FAILED, why
            self._on_failure()

    async def _start(self) -> None:
        await self._running.enter_async_context(self.recognizers)
        if self.speakers is not None:
            await self._running.enter_async_context(self.speakers)
        if self.speaker_steps is not None:
            await self._running.enter_async_context(self.speaker_steps)
        await asyncio.gather(self._start_detector(), self._load_default(), self._start_turn_model())

    async def _start_detector(self) -> None:
        streams = self._options.streams
        worker = detector_worker(
            self._options.detector_device,
            streams=streams + 1,
            deadline=self._options.detector_deadline_seconds,
            watcher=Supervisor("detector", self.health, on_broken=self._fail),
        )
        vad = await self._running.enter_async_context(
            detector_batcher(worker, streams=streams, on_batch_done=self._on_step_done)
        )
        await worker.start()
        await _warm_up(worker.model, vad)
        self._slots, self.vad = worker.model, vad

    async def _start_turn_model(self) -> None:
        """Load the model of the end of a turn, if it is installed; only if it is needed, fail without it."""
        is_needed = self._options.needs_turn_model
        worker = turn_worker(partial(self._load_turn_model, is_needed))
        # Leaving its context waits for the thread: one that still loads onnxruntime would abort the process.
        batcher = await self._running.enter_async_context(turn_batcher(worker, streams=self._options.streams))
        try:
            await worker.start()
        except Exception as error:
            if is_needed:
                raise ModelUnavailable(f"ENDPOINTING=model: {error}") from error
            is_absent = isinstance(error, ModelUnavailable)
            log.log(logging.DEBUG if is_absent else logging.WARNING, "turn_model.not_loaded error=%s", error)
            return
        self.turn_model = batcher

    async def _load_default(self) -> None:
        async with self.recognizers.acquire(self.recognizers.default):
            pass


async def _warm_up(slots: DetectorSlots, vad: Batcher[DetectorInput, Probabilities]) -> None:
    """Run one step of the detector, so that the first client does not wait for what is built on first use."""
    slot = slots.open()
    try:
        await vad.submit(DetectorInput(slot, np.zeros((1, HOP), np.float32)))
    finally:
        slots.close(slot)


def _recognizer(
    options: EngineOptions,
    prepare: Callable[[], None],
    on_batch: Callable[[Sequence[BatchedItem]], None],
    on_batch_done: Callable[[Sequence[BatchedItem], float], None],
    source: str,
    supervisor: Supervisor,
) -> Asr:
    return recognizer_batcher(
        _recognizer_worker(options, prepare, source, supervisor),
        items=options.batch_items,
        audio_seconds=options.batch_audio_seconds,
        waiting=options.queue_items,
        seconds=options.batch_seconds,
        on_batch=on_batch,
        on_batch_done=on_batch_done,
    )


def _recognizer_worker(
    options: EngineOptions,
    prepare: Callable[[], None],
    source: str,
    supervisor: Supervisor,
    *,
    in_background: bool = False,
) -> Worker[RecognitionRequest, Hypothesis]:
    return recognizer_worker(
        source,
        options.load,
        in_process=options.in_process,
        threads=options.threads or max(1, (os.cpu_count() or 1) - 1),
        deadline=options.deadline_seconds,
        watcher=supervisor,
        prepare=prepare,
        in_background=in_background,
        reporter=supervisor.progress,
    )


def _step_model(options: EngineOptions, prepare: Callable[[], None], watcher: Supervisor) -> StepModel | None:
    if not (options.distinguishes_speakers and options.speaker_model):
        return None
    load = options.load
    return StepModel(
        partial(
            step_worker,
            options.speaker_model,
            device=load.device,
            dtype=load.dtype,
            hub_timeout=load.hub_timeout,
            prepare=prepare,
            watcher=watcher,
        )
    )


def _weights_size(source: str) -> int:
    from asr.memory_usage import weights_size  # Imports the hub's client, which takes a quarter of a second.

    return weights_size(source)
