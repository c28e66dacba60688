"""Run the networks that find speakers in a process of their own, which starts when it is first needed."""

import os
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from audio.clip import Samples
from batching.batcher import BULK
from batching.process_worker import ProcessWorker
from batching.worker import Worker, WorkerObserver
from diarization.chunks import ChunkSpeakers
from diarization.steps import Step, StepSpeakers
from engine.lazy_model import LazyModel
from engine.recognizer_process import prepare_nothing

if TYPE_CHECKING:
    from diarization.speaker_network import SpeakerNetwork
    from diarization.streaming_network import StreamingNetwork

BATCH_CHUNKS: Final = 8  # A batch of them takes about 4 s on one core of a CPU.
BATCH_STEPS: Final = 4  # of 27 s each
MAX_WAITING: Final = 256  # chunks of other priorities than those of live finals and files
DEADLINE_SECONDS: Final = 120.0  # most time for a batch
STEP_DEADLINE_SECONDS: Final = 300.0


class SpeakerModel(LazyModel[Samples, ChunkSpeakers]):
    """Find the speakers in chunks of audio; all streams and files share its batches.

    worker: returns the worker that runs the networks
    """

    def __init__(
        self,
        worker: Callable[[], Worker[Samples, ChunkSpeakers]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(worker, max_items=BATCH_CHUNKS, max_waiting=MAX_WAITING, clock=clock)

    async def analyse(self, chunk: Samples, /, priority: int = BULK) -> ChunkSpeakers:
        """Return the speakers of a chunk of at most CHUNK_SAMPLES. Raises SpeakersUnavailable."""
        return await self.submit(chunk, priority)


class StepModel(LazyModel[Step, StepSpeakers]):
    """Find the speakers of whole recordings step by step; all files share its batches.

    worker: returns the worker that runs the network
    """

    def __init__(
        self,
        worker: Callable[[], Worker[Step, StepSpeakers]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(worker, max_items=BATCH_STEPS, max_waiting=MAX_WAITING, clock=clock)

    async def run(self, step: Step, /) -> StepSpeakers:
        """Return the speakers of a step. Raises SpeakersUnavailable."""
        return await self.submit(step, BULK)


def speaker_worker(
    *,
    threads: int = 1,
    download: bool = True,
    prepare: Callable[[], None] = prepare_nothing,
    watcher: WorkerObserver | None = None,
) -> Worker[Samples, ChunkSpeakers]:
    """Return a worker that finds speakers on the CPU, in a process of its own.

    threads: torch threads
    download: whether to get missing files
    prepare: called first in the process; it must be picklable
    watcher: observes the worker
    """
    build = partial(_build, prepare, threads, download)
    return ProcessWorker(build, _analyse, name="speakers", deadline=DEADLINE_SECONDS, observer=watcher)


def step_worker(
    source: str,
    *,
    device: str = "cpu",
    dtype: str = "auto",
    hub_timeout: float = 3.0,
    threads: int = 1,
    prepare: Callable[[], None] = prepare_nothing,
    watcher: WorkerObserver | None = None,
) -> Worker[Step, StepSpeakers]:
    """Return a worker that finds the speakers of whole recordings, in a process of its own.

    source, device, dtype, hub_timeout: as in StreamingNetwork.load; device may be auto
    threads, prepare, watcher: as in `speaker_worker`
    """
    build = partial(_build_steps, prepare, threads, source, device, dtype, hub_timeout)
    return ProcessWorker(
        build, _run_steps, name="diarization", deadline=STEP_DEADLINE_SECONDS, observer=watcher
    )


def _build(prepare: Callable[[], None], threads: int, download: bool) -> "SpeakerNetwork":
    prepare()
    os.environ["OMP_NUM_THREADS"] = str(threads)  # torch reads it on import.
    from diarization.speaker_network import SpeakerNetwork

    return SpeakerNetwork.load("cpu", download=download)


def _analyse(network: "SpeakerNetwork", chunks: list[Samples]) -> list[ChunkSpeakers]:
    return network.analyse(chunks)


def _build_steps(
    prepare: Callable[[], None], threads: int, source: str, device: str, dtype: str, hub_timeout: float
) -> "StreamingNetwork":
    prepare()
    os.environ["OMP_NUM_THREADS"] = str(threads)
    from asr.devices import choose_device
    from diarization.streaming_network import StreamingNetwork

    return StreamingNetwork.load(source, device=choose_device(device), dtype=dtype, hub_timeout=hub_timeout)


def _run_steps(network: "StreamingNetwork", steps: list[Step]) -> list[StepSpeakers]:
    return network.run(steps)
