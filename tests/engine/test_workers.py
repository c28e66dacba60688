"""Workers of the detector and of recognizers."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from asr.errors import ModelUnavailable
from asr.recognizer import Hypothesis, RecognitionRequest
from audio.clip import HOP, Clip
from batching.batcher import BatchedItem
from batching.errors import BatcherClosed
from batching.process_worker import ProcessWorker
from batching.worker import Worker
from engine.recognizer_process import LoadedModelInfo, LoadOptions
from engine.workers import (
    detector_batcher,
    detector_worker,
    load_models,
    recognizer_batcher,
    recognizer_worker,
)
from vad.detector_input import DetectorInput

SECOND = RecognitionRequest(Clip(np.zeros(16_000, np.float32)))


async def text(worker: Worker[RecognitionRequest, Hypothesis]) -> str:
    """Return a request with one second of silence."""
    async with recognizer_batcher(worker, items=2, audio_seconds=60, waiting=5) as asr:
        await worker.start()
        return (await asr.submit(SECOND)).text


async def test_a_detector_judges_hops() -> None:
    worker = detector_worker("cpu", streams=2)
    async with detector_batcher(worker, streams=2) as vad:
        await worker.start()
        slot = worker.model.open()
        probabilities = await vad.submit(DetectorInput(slot, np.zeros((3, HOP), np.float32)))
        assert probabilities.shape == (3,)


async def test_a_recognizer_in_a_thread_reports_what_it_is() -> None:
    worker = recognizer_worker("free", LoadOptions(device="cpu"), in_process=False)
    assert await text(worker) == "w1 w2 w3"
    report = worker.description
    assert isinstance(report, LoadedModelInfo)
    assert (report.description.model, report.description.requested) == ("free", "free")
    assert report.memory >= 0


async def test_a_thread_leaves_our_environment_alone() -> None:
    before = dict(os.environ)
    await text(recognizer_worker("free", LoadOptions(device="cpu"), in_process=False, threads=3))
    assert dict(os.environ) == before


@pytest.mark.slow
async def test_in_a_process_it_is_the_same_and_its_memory_is_its_own() -> None:
    worker = recognizer_worker("pocketsphinx", LoadOptions(device="cpu"), threads=1)
    await text(worker)
    report = worker.description
    assert isinstance(report, LoadedModelInfo)
    assert report.description.incremental
    if sys.platform == "linux":
        assert 50 << 20 < report.memory < 1 << 30


@pytest.mark.parametrize("in_process", [False, pytest.param(True, marks=pytest.mark.slow)])
async def test_load_error_is_raised_by_start(tmp_path: Path, in_process: bool) -> None:
    worker = recognizer_worker(str(tmp_path), LoadOptions(device="cpu"), in_process=in_process)
    with pytest.raises(ModelUnavailable, match="no config"):
        await text(worker)


async def test_a_batch_holds_no_more_items_and_seconds_than_it_may() -> None:
    worker = recognizer_worker("free", LoadOptions(device="cpu"), in_process=False)
    long = RecognitionRequest(Clip(np.zeros(48_000, np.float32)))
    await worker.start()
    seen: list[Sequence[BatchedItem]] = []
    asr = recognizer_batcher(worker, items=2, audio_seconds=3.5, waiting=5, on_batch=seen.append)
    for request in (SECOND, SECOND, SECOND, long):
        asr.post(request, print)
    async with asr:
        await asr.submit(SECOND)
    assert [len(batch) for batch in seen] == [2, 1, 1, 1]


@pytest.mark.slow
async def test_load_models_provides_a_detector_and_a_recognizer() -> None:
    async with load_models("free", device="cpu") as (models, description):
        assert (description.family, models.incremental) == ("free", False)
        slot = models.slots.open()
        assert (await models.vad.submit(DetectorInput(slot, np.zeros((3, HOP), np.float32)))).shape == (3,)
        assert (await models.asr.submit(SECOND)).text == "w1 w2 w3"
    with pytest.raises(BatcherClosed):
        await models.asr.submit(SECOND)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has SCHED_IDLE")
async def test_a_recognizer_in_the_background_uses_only_idle_cores() -> None:
    options = LoadOptions(device="cpu")
    for in_background, policy in ((False, os.SCHED_OTHER), (True, os.SCHED_IDLE)):
        worker = recognizer_worker("free", options, in_background=in_background)
        assert isinstance(worker, ProcessWorker)
        async with recognizer_batcher(worker, items=2, audio_seconds=60, waiting=5) as asr:
            await worker.start()
            await asr.submit(SECOND)
            assert worker.pid is not None
            threads = os.listdir(f"/proc/{worker.pid}/task")
            assert {os.sched_getscheduler(int(thread)) for thread in threads} == {policy}
