"""Engine: the models of this server, from loading to the last batch."""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from enum import StrEnum
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from asr.hypothesis import Description, Hypothesis, Request
from audio.clip import HOP, SAMPLE_RATE, Clip
from batching.batcher import Batcher
from batching.worker import ProcessWorker, ThreadWorker, Worker
from server.settings import Place, Settings
from server.tuning import tune_interpreter
from stream.pump import Models, Probabilities
from vad.work import Work

if TYPE_CHECKING:
    from asr.models import Loaded
    from vad.detector import Detector

log = logging.getLogger(__name__)


class State(StrEnum):
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    STOPPED = "stopped"


class Engine:
    """Loads the detector and the recognizer beside each other, warms them up, and lends them to the pumps.

    An async context manager: entering starts to load and returns at once; leaving stops all that runs.
    `on_failure` is called if loading fails.
    """

    def __init__(self, settings: Settings, on_failure: Callable[[], None] = lambda: None) -> None:
        self.state = State.LOADING
        self.description: Description | None = None
        self.error: str | None = None
        self.models: Models | None = None
        self._settings = settings
        self._on_failure = on_failure
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._loading = asyncio.create_task(self._load(), name="load models")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.state = State.STOPPED
        self._loading.cancel()
        await asyncio.gather(self._loading, return_exceptions=True)
        await self._running.aclose()

    async def _load(self) -> None:
        began = time.monotonic()
        try:
            await self._start()
        except Exception as error:  # told in /ready, in the log, and to whoever runs us
            self.state = State.FAILED
            self.error = str(error) or type(error).__name__
            log.error("models could not be loaded: %s", self.error, exc_info=log.isEnabledFor(logging.DEBUG))
            self._on_failure()
            return
        tune_interpreter()
        self.state = State.READY
        log.info("ready in %.1f s: %s", time.monotonic() - began, self.description)

    async def _start(self) -> None:
        detector = _detector_worker(self._settings)
        recognizer = _recognizer_worker(self._settings)
        self._running.push_async_callback(detector.close)
        self._running.push_async_callback(recognizer.close)
        await asyncio.gather(detector.start(), recognizer.start())
        description = recognizer.description
        assert isinstance(description, Description)
        self._announce(description)
        vad: Batcher[Work, Probabilities] = Batcher(
            detector,
            max_items=self._settings.max_sessions,
            max_waiting=self._settings.max_sessions,
            stateless=False,
        )
        asr: Batcher[Request, Hypothesis] = Batcher(
            recognizer,
            max_items=self._settings.asr_batch_items,
            max_waiting=self._settings.asr_queue_items,
            cost=lambda request: request.clip.seconds,
            budget=self._settings.asr_batch_seconds,
        )
        await self._running.enter_async_context(vad)
        await self._running.enter_async_context(asr)
        models = Models(detector.model, vad, asr, description.incremental)
        await _warm_up(models)
        self.models = models

    def _announce(self, description: Description) -> None:
        self.description = description
        if description.fallback:
            log.warning("RECOGNIZER FALLBACK: %s", description.fallback)


async def _warm_up(models: Models) -> None:
    """One batch each, so that the first client does not pay for what is built on first use."""
    slot = models.slots.open()
    try:
        await models.vad.submit(Work(slot, np.zeros((1, HOP), np.float32)))
    finally:
        models.slots.close(slot)
    await models.asr.submit(Request(Clip(np.zeros(SAMPLE_RATE, np.float32))))


def _detector_worker(settings: Settings) -> "ThreadWorker[Detector, Work, Probabilities]":
    build = partial(_build_detector, settings.vad_device, settings.max_sessions + 1)
    return ThreadWorker(build, _detect, name="vad")


def _build_detector(device: str, slots: int) -> "Detector":
    from vad.detector import Detector  # torch: a second and more, while the port answers already

    return Detector.load(device, max_slots=slots)


def _detect(detector: "Detector", work: list[Work]) -> list[Probabilities]:
    return detector.step(work)


def _recognizer_worker(settings: Settings) -> Worker[Request, Hypothesis]:
    in_process = settings.asr_place is Place.PROCESS
    build = partial(
        _build_recognizer,
        settings.asr_model,
        settings.asr_device,
        settings.asr_dtype,
        settings.hub_timeout_seconds,
        _recognizer_threads(settings) if in_process else None,
    )
    worker = ProcessWorker if in_process else ThreadWorker
    return worker(build, _transcribe, name="asr", describe=_describe)


def _recognizer_threads(settings: Settings) -> int:
    return settings.asr_threads or max(1, (os.cpu_count() or 1) - 1)


def _build_recognizer(
    model: str, device: str, dtype: str, hub_timeout: float, threads: int | None
) -> "Loaded":
    if threads is not None:  # read by torch when it is imported, which in this process it is not yet
        os.environ["OMP_NUM_THREADS"] = str(threads)
    from asr.models import load

    return load(model, device=device, dtype=dtype, hub_timeout=hub_timeout)


def _transcribe(loaded: "Loaded", requests: list[Request]) -> list[Hypothesis]:
    return loaded.recognizer.transcribe(requests)


def _describe(loaded: "Loaded") -> Description:
    return loaded.description
