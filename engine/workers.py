"""Build the workers of the detector and of recognizers, and their batchers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, Protocol

from asr.artifacts import Reporter
from asr.devices import choose_device
from asr.recognizer import Hypothesis, ModelInfo, RecognitionRequest
from audio.clip import Clip
from batching.batcher import BatchedItem, Batcher
from batching.model_process import run_in_background
from batching.process_worker import ProcessWorker
from batching.threads import NO_DEADLINE, ThreadWorker
from batching.worker import Worker, WorkerObserver
from engine.recognizer_process import (
    LoadedModelInfo,
    LoadOptions,
    build_in_process,
    build_recognizer,
    describe,
    prepare_nothing,
    transcribe,
)
from streaming.model_clients import ModelClients, Probabilities
from vad.detector import Detector
from vad.detector_input import DetectorInput

SHARED_BATCH_SECONDS: Final = 0.1  # Target duration of a batch that combines finals with less urgent tasks.
BACKGROUND_DEADLINE_FACTOR: Final = 10
MAX_FAILED_STEPS: Final = 3  # In a row; each failed step ends all streams in it.

# For load_models:
MAX_FILES: Final = 64  # transcribed at once
BATCH_ITEMS: Final = 16
BATCH_SECONDS: Final = 120.0


def detector_worker(
    device: str, *, streams: int, deadline: float = NO_DEADLINE, watcher: WorkerObserver | None = None
) -> ThreadWorker[Detector, DetectorInput, Probabilities]:
    """Return a worker that runs the detector in a thread.

    streams: most streams at once
    deadline: most seconds for a step
    """
    return ThreadWorker(
        partial(_build_detector, device, streams),
        _detect,
        name="vad",
        deadline=deadline,
        max_failures=MAX_FAILED_STEPS,
        observer=watcher,
    )


def detector_batcher(
    worker: Worker[DetectorInput, Probabilities],
    *,
    streams: int,
    on_batch_done: Callable[[Sequence[BatchedItem], float], None] = lambda batch, seconds: None,
) -> Batcher[DetectorInput, Probabilities]:
    """Return the batcher of the detector, in which each stream has at most one step.

    on_batch_done: called with the seconds of each step
    """
    return Batcher(
        worker,
        max_items=streams,
        max_waiting=streams,
        stateless=False,
        learns=False,
        on_batch_done=on_batch_done,
    )


class TurnModel(Protocol):
    """Judge from the audio before a pause whether the turn is complete, as SmartTurn does."""

    def probability(self, clip: Clip, /) -> float:
        """Return how probably the turn is complete, 0 to 1."""
        ...


def turn_worker(load: Callable[[], TurnModel]) -> ThreadWorker[TurnModel, Clip, float]:
    """Return a worker that runs the model of the end of a turn in a thread."""
    return ThreadWorker(load, _judge_turns, name="turn")


def turn_batcher(worker: Worker[Clip, float], *, streams: int) -> Batcher[Clip, float]:
    """Return the batcher of the model of the end of a turn, in which each stream has at most one clip.

    Clips run one at a time: the model takes as long for four of them as for four times one.
    """
    return Batcher(worker, max_items=1, max_waiting=streams, learns=False)


def recognizer_worker(
    source: str,
    options: LoadOptions,
    *,
    in_process: bool = True,
    threads: int = 0,
    deadline: float = NO_DEADLINE,
    watcher: WorkerObserver | None = None,
    prepare: Callable[[], None] = prepare_nothing,
    in_background: bool = False,
    reporter: Reporter | None = None,
) -> Worker[RecognitionRequest, Hypothesis]:
    """Return a worker for a recognizer; its `description` is a LoadedModelInfo.

    source: argument of asr.model_registry.load; `start` raises the errors of that function
    options: how the recognizer is loaded
    in_process: whether it runs in a separate process, not in a thread
    threads: torch threads in a process; 0 for torch's own choice
    deadline: most seconds for a batch in addition to the length of its audio
    watcher: observes the worker
    prepare: called first in the process; it must be picklable
    in_background: whether the process uses only what others leave of the processor; its batches may take
        BACKGROUND_DEADLINE_FACTOR times as long
    reporter: reports the download of the model, in that process; None for the log

    In a separate process the model has its own torch threads, and an interrupt of the server need not wait
    for the end of a batch.
    """
    factor = BACKGROUND_DEADLINE_FACTOR if in_background else 1

    def seconds(requests: list[RecognitionRequest]) -> float:
        return factor * (deadline + sum(request.clip.seconds for request in requests))

    if not in_process:
        return ThreadWorker(
            partial(build_recognizer, source, options, reporter),
            transcribe,
            name="asr",
            describe=describe,
            deadline=seconds,
            observer=watcher,
        )
    # Progress bars do not belong in a log, and their lock would leak with a warning when the process is
    # killed. The reporter reports instead.
    environment = {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    if in_background:
        prepare = partial(_prepare_in_background, prepare)
    build = partial(build_in_process, prepare, source, options, environment, reporter)
    return ProcessWorker(build, transcribe, name="asr", describe=describe, deadline=seconds, observer=watcher)


def recognizer_batcher(
    worker: Worker[RecognitionRequest, Hypothesis],
    *,
    items: int,
    audio_seconds: float,
    waiting: int,
    seconds: float = float("inf"),
    on_batch: Callable[[Sequence[BatchedItem]], None] = lambda batch: None,
    on_batch_done: Callable[[Sequence[BatchedItem], float], None] = lambda batch, seconds: None,
) -> Batcher[RecognitionRequest, Hypothesis]:
    """Return the batcher of a recognizer.

    items, audio_seconds: most tasks and most audio in one batch
    waiting: most tasks in the queue
    seconds: target duration of a batch
    on_batch: called with each batch that begins
    on_batch_done: called with each batch that succeeded and its seconds
    """
    return Batcher(
        worker,
        max_items=items,
        max_waiting=waiting,
        cost=lambda request: request.clip.seconds,
        budget=audio_seconds,
        seconds=seconds,
        joined_seconds=min(seconds, SHARED_BATCH_SECONDS),
        on_batch=on_batch,
        on_batch_done=on_batch_done,
    )


@asynccontextmanager
async def load_models(
    model: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    hub_timeout: float = 3.0,
    punctuation_model: str = "",
) -> AsyncIterator[tuple[ModelClients, ModelInfo]]:
    """Load the detector into a thread and a recognizer into a process; both stop when the context ends.

    The arguments are those of asr.model_registry.load and of LoadOptions, and so are the errors.
    """
    detector = detector_worker("cpu", streams=MAX_FILES)
    options = LoadOptions(device, dtype, hub_timeout, warm_up=False, punctuation_model=punctuation_model)
    recognizer = recognizer_worker(model, options)
    async with (
        detector_batcher(detector, streams=MAX_FILES) as vad,
        recognizer_batcher(
            recognizer, items=BATCH_ITEMS, audio_seconds=BATCH_SECONDS, waiting=MAX_FILES
        ) as asr,
    ):
        await asyncio.gather(detector.start(), recognizer.start())
        report = recognizer.description
        assert isinstance(report, LoadedModelInfo)
        description = report.description
        models = ModelClients(
            detector.model,
            vad,
            asr,
            description.incremental,
            description.continues,
            languages=description.languages,
        )
        yield models, description


def _build_detector(device: str, streams: int) -> Detector:
    return Detector.load(choose_device(device), max_slots=streams)


def _prepare_in_background(prepare: Callable[[], None]) -> None:
    run_in_background()
    prepare()


def _judge_turns(model: TurnModel, clips: list[Clip]) -> list[float]:
    return [model.probability(clip) for clip in clips]


def _detect(detector: Detector, work: list[DetectorInput]) -> list[Probabilities]:
    return detector.step(work)
