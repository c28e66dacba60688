"""Run small models on real batchers, for whole files."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from asr.recognizer import Hypothesis, RecognitionRequest
from batching.batcher import Batcher
from batching.threads import ThreadWorker
from streaming.model_clients import ModelClients, Probabilities
from tests.streaming.fakes import detect, transcribe
from vad.detector_input import DetectorInput


class Slots:
    """Number streams."""

    def __init__(self) -> None:
        self.lent = 0
        self._next = 0

    def open(self) -> int:
        self.lent += 1
        self._next += 1
        return self._next

    def close(self, slot: int, /) -> None:
        self.lent -= 1


class Detector:
    def step(self, work: list[DetectorInput]) -> list[Probabilities]:
        return detect(None, work)


class BrokenDetector(Detector):
    def step(self, work: list[DetectorInput]) -> list[Probabilities]:
        raise RuntimeError("out of memory")


class Recognizer:
    """Record batches.

    batches: number of requests of each; heard: end of the last clip
    """

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.partials = 0
        self.heard = 0

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        self.batches.append(len(requests))
        self.heard = requests[-1].clip.end
        self.partials += sum(request.partial for request in requests)
        return transcribe(None, requests)


class HeldRecognizer(Recognizer):
    """Answer once the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self.gate = asyncio.Event()

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        asyncio.run_coroutine_threadsafe(self.gate.wait(), self._loop).result()
        return super().transcribe(requests)


@asynccontextmanager
async def models(
    recognizer: Recognizer | None = None, detector: Detector | None = None, incremental: bool = False
) -> AsyncIterator[ModelClients]:
    ears, reader = detector or Detector(), recognizer or Recognizer()
    vad_worker: ThreadWorker[Detector, DetectorInput, Probabilities] = ThreadWorker(
        lambda: ears, lambda ears, work: ears.step(work), name="vad"
    )
    asr_worker: ThreadWorker[Recognizer, RecognitionRequest, Hypothesis] = ThreadWorker(
        lambda: reader, lambda reader, batch: reader.transcribe(batch), name="asr"
    )
    await asyncio.gather(vad_worker.start(), asr_worker.start())
    async with (
        Batcher(vad_worker, max_items=100, max_waiting=100, stateless=False) as vad,
        Batcher(asr_worker, max_items=16, max_waiting=100) as asr,
    ):
        yield ModelClients(Slots(), vad, asr, incremental)
