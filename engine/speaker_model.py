"""Run the networks that find speakers in a process of their own, which starts when it is first needed."""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from audio.clip import Samples
from batching.batcher import BULK, Batcher
from batching.worker import ProcessWorker, Worker, WorkerObserver
from diarization.chunks import ChunkSpeakers
from engine.recognizer_process import prepare_nothing
from streaming.errors import SpeakersUnavailable

if TYPE_CHECKING:
    from diarization.speaker_network import SpeakerNetwork

log = logging.getLogger(__name__)

BATCH_CHUNKS: Final = 8  # A batch of them takes about 4 s on one core of a CPU.
MAX_WAITING: Final = 256  # chunks of other priorities than those of live finals and files
DEADLINE_SECONDS: Final = 120.0  # most time for a batch
RETRY_SECONDS: Final = 60.0  # After a failed start, requests fail at once for so long.


class SpeakerModel:
    """Find the speakers in chunks of audio; all streams and files share its batches.

    An async context manager: leaving it ends the process. Nothing is loaded before the first chunk.

    worker: returns the worker that runs the networks
    """

    def __init__(
        self,
        worker: Callable[[], Worker[Samples, ChunkSpeakers]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._new_worker = worker
        self._clock = clock
        self._batcher: Batcher[Samples, ChunkSpeakers] | None = None
        self._running = AsyncExitStack()
        self._starting = asyncio.Lock()
        self._failed: tuple[float, str] | None = None  # when and why the last start failed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._running.aclose()

    async def start(self) -> None:
        """Load the networks, unless they are loaded; download missing files. Raises SpeakersUnavailable."""
        await self._started()

    async def analyse(self, chunk: Samples, /, priority: int = BULK) -> ChunkSpeakers:
        """Return the speakers of a chunk of at most CHUNK_SAMPLES. Raises SpeakersUnavailable."""
        batcher = await self._started()
        try:
            return await batcher.submit(chunk, priority)
        except Exception as error:  # from the networks, too
            raise SpeakersUnavailable(f"speakers cannot be distinguished: {error}") from error

    async def _started(self) -> Batcher[Samples, ChunkSpeakers]:
        async with self._starting:
            if self._batcher is not None:
                return self._batcher
            if self._failed is not None and self._clock() - self._failed[0] < RETRY_SECONDS:
                raise SpeakersUnavailable(self._failed[1])
            async with AsyncExitStack() as stack:
                worker = self._new_worker()
                batcher = await stack.enter_async_context(
                    Batcher(worker, max_items=BATCH_CHUNKS, max_waiting=MAX_WAITING)
                )
                try:
                    await worker.start()
                except Exception as error:
                    why = f"speakers cannot be distinguished: {error or type(error).__name__}"
                    self._failed = self._clock(), why
                    log.warning("speaker_model.not_loaded error=%s", error)
                    raise SpeakersUnavailable(why) from error
                await self._running.enter_async_context(stack.pop_all())
                self._batcher = batcher
                return batcher


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


def _build(prepare: Callable[[], None], threads: int, download: bool) -> "SpeakerNetwork":
    prepare()
    os.environ["OMP_NUM_THREADS"] = str(threads)  # torch reads it on import.
    from diarization.speaker_network import SpeakerNetwork

    return SpeakerNetwork.load("cpu", download=download)


def _analyse(network: "SpeakerNetwork", chunks: list[Samples]) -> list[ChunkSpeakers]:
    return network.analyse(chunks)
