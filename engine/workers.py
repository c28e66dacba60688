"""Workers: where the detector and a recognizer are built and run, and the queues before them."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from asr.recognizer import Hypothesis, ModelInfo, RecognitionRequest
from batching.batcher import BatchedItem, Batcher
from batching.deadline_thread import FOR_EVER
from batching.worker import ProcessWorker, ThreadWorker, Worker, WorkerObserver
from streaming.model_clients import ModelClients, Probabilities
from vad.detector_input import DetectorInput

if TYPE_CHECKING:
    from asr.model_registry import LoadedModel
    from vad.detector import Detector

JOINED_SECONDS: Final = 0.1  # what a batch may take that finals share with less urgent jobs
MOST_FAILED_STEPS: Final = 3  # in a row: each ends all streams that were in it

# Of load_models.
MAX_FILES: Final = 64  # that are transcribed at once
BATCH_ITEMS: Final = 16
BATCH_SECONDS: Final = 120.0


def unprepared() -> None:
    """Prepare nothing: the default of what a process calls first."""


def detector_worker(
    device: str, *, streams: int, deadline: float = FOR_EVER, watcher: WorkerObserver | None = None
) -> "ThreadWorker[Detector, DetectorInput, Probabilities]":
    """In a thread. streams: most at once; deadline: seconds that a step may take."""
    return ThreadWorker(
        partial(_build_detector, device, streams),
        _detect,
        name="vad",
        deadline=lambda work: deadline,
        most_failures=MOST_FAILED_STEPS,
        watcher=watcher,
    )


def detector_batcher(
    worker: Worker[DetectorInput, Probabilities],
    *,
    streams: int,
    took: Callable[[Sequence[BatchedItem], float], None] = lambda batch, seconds: None,
) -> Batcher[DetectorInput, Probabilities]:
    """Every stream has at most one step under way. took: told of the seconds of each step."""
    return Batcher(worker, max_items=streams, max_waiting=streams, stateless=False, took=took)


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How a recognizer is to be loaded, as asr.model_registry.load has it."""

    device: str = "auto"
    dtype: str = "auto"
    hub_timeout: float = 3.0
    audio_context: Literal["full", "short"] = "full"


@dataclass(frozen=True, slots=True)
class LoadedModelInfo:
    """What is known of a recognizer once it is loaded. memory: bytes by which its process grew, on the device
    where it runs; 0 where that cannot be told."""

    description: ModelInfo
    memory: int


def recognizer_worker(
    source: str,
    way: LoadOptions,
    *,
    in_process: bool = True,
    threads: int = 0,
    deadline: float = FOR_EVER,
    watcher: WorkerObserver | None = None,
    prepare: Callable[[], None] = unprepared,
) -> Worker[RecognitionRequest, Hypothesis]:
    """Its `description` is a Report.

    source: what asr.model_registry.load is asked for, whose errors `start` raises
    threads: of torch, in a process; 0 is torch's own choice
    deadline: seconds that a batch may take beside the length of its sound
    prepare: called first of all in the process; picklable

    In a process a model has torch's threads to itself, and whoever interrupts us need not wait for the end of
    a batch. A thread shares both with us.
    """

    def seconds(requests: list[RecognitionRequest]) -> float:
        return deadline + sum(request.clip.seconds for request in requests)

    if not in_process:
        return ThreadWorker(
            partial(_build_recognizer, source, way, {}),
            _transcribe,
            name="asr",
            describe=_report,
            deadline=seconds,
            watcher=watcher,
        )
    # The bars' lock would be left behind, with a warning, when the process is killed; and a log is no place
    # for them. `./entrypoint.sh pull` is there for long downloads.
    environment = {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    build = partial(_build_prepared, prepare, source, way, environment)
    return ProcessWorker(build, _transcribe, name="asr", describe=_report, deadline=seconds, watcher=watcher)


def recognizer_batcher(
    worker: Worker[RecognitionRequest, Hypothesis],
    *,
    items: int,
    audio_seconds: float,
    waiting: int,
    seconds: float = float("inf"),
    observe: Callable[[Sequence[BatchedItem]], None] = lambda batch: None,
    took: Callable[[Sequence[BatchedItem], float], None] = lambda batch, seconds: None,
) -> Batcher[RecognitionRequest, Hypothesis]:
    """items, audio_seconds: most in one batch; seconds: that it may take; waiting: most jobs in the queue;
    observe: told of each batch that begins; took: of its seconds, when it has succeeded."""
    return Batcher(
        worker,
        max_items=items,
        max_waiting=waiting,
        cost=lambda request: request.clip.seconds,
        budget=audio_seconds,
        seconds=seconds,
        joined_seconds=min(seconds, JOINED_SECONDS),
        observe=observe,
        took=took,
    )


@asynccontextmanager
async def load_models(
    model: str, *, device: str = "auto", dtype: str = "auto", hub_timeout: float = 3.0
) -> AsyncIterator[tuple[ModelClients, ModelInfo]]:
    """The detector in a thread, the recognizer in a process; both stop when the context is left.

    In its process a model has torch's threads to itself, of which the detector leaves this one a single one.
    Arguments and errors as of asr.model_registry.load.
    """
    detector = detector_worker("cpu", streams=MAX_FILES)
    recognizer = recognizer_worker(model, LoadOptions(device, dtype, hub_timeout))
    async with (
        detector_batcher(detector, streams=MAX_FILES) as vad,
        recognizer_batcher(
            recognizer, items=BATCH_ITEMS, audio_seconds=BATCH_SECONDS, waiting=MAX_FILES
        ) as asr,
    ):
        await asyncio.gather(detector.start(), recognizer.start())
        report = recognizer.description
        assert isinstance(report, LoadedModelInfo)
        yield ModelClients(detector.model, vad, asr, report.description.incremental), report.description


def _build_detector(device: str, streams: int) -> "Detector":
    from vad.detector import Detector  # torch: a second and more, while the port answers already

    return Detector.load(device, max_slots=streams)


def _detect(detector: "Detector", work: list[DetectorInput]) -> list[Probabilities]:
    return detector.step(work)


@dataclass(frozen=True, slots=True)
class _Built:
    loaded: "LoadedModel"
    memory: int


def _build_prepared(
    prepare: Callable[[], None], source: str, way: LoadOptions, environment: Mapping[str, str]
) -> _Built:
    prepare()
    return _build_recognizer(source, way, environment)


def _build_recognizer(source: str, way: LoadOptions, environment: Mapping[str, str]) -> _Built:
    """Warm: the first client does not pay for what is built on first use, and its memory is counted."""
    os.environ.update(environment)  # torch and the hub's client read it when they are imported
    from asr.memory_usage import memory_in_use
    from asr.model_registry import load, warm_up

    devices = ("cpu", "cuda:0" if way.device == "auto" else way.device)
    before = {device: memory_in_use(device) for device in devices}
    loaded = load(
        source,
        device=way.device,
        dtype=way.dtype,
        hub_timeout=way.hub_timeout,
        audio_context=way.audio_context,
    )
    warm_up(loaded)
    device = loaded.description.device
    return _Built(loaded, max(0, memory_in_use(device) - before.get(device, 0)))


def _transcribe(built: _Built, requests: list[RecognitionRequest]) -> list[Hypothesis]:
    return built.loaded.transcribe(requests)


def _report(built: _Built) -> LoadedModelInfo:
    return LoadedModelInfo(built.loaded.description, built.memory)
