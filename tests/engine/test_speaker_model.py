"""Test the model of speakers behind its queue, with a simple rule in place of the networks."""

import asyncio

import numpy as np
import pytest

from asr.errors import ModelUnavailable
from audio.clip import Samples
from batching.worker import ThreadWorker
from diarization.chunks import ChunkSpeakers
from engine.speaker_model import RETRY_SECONDS, SpeakerModel, speaker_worker
from streaming.errors import SpeakersUnavailable
from tests.diarization.spoken import SENTENCES, needs_flite, network, say
from tests.diarization.voices import RuleNetwork

SECOND = 16_000
Worker = ThreadWorker[RuleNetwork, Samples, ChunkSpeakers]


def voice(level: float) -> Samples:
    return np.full(SECOND, level, np.float32)


class Workers:
    """Count the workers; the first `failures` of them cannot load."""

    def __init__(self, failures: int = 0) -> None:
        self.made = 0
        self._failures = failures

    def __call__(self) -> Worker:
        self.made += 1

        def build() -> RuleNetwork:
            if self.made <= self._failures:
                raise ModelUnavailable("no weights")
            return RuleNetwork()

        return ThreadWorker(build, lambda rule, chunks: rule.analyse(chunks), name="speakers")


async def test_nothing_is_loaded_before_the_first_chunk() -> None:
    workers = Workers()
    async with SpeakerModel(workers) as model:
        assert workers.made == 0
        found = await asyncio.gather(model.analyse(voice(0.5)), model.analyse(voice(-0.5)))
        assert workers.made == 1
    assert [each.pieces[0, 0] for each in found] == [0, 1]


async def test_failed_load_is_tried_again_after_a_while() -> None:
    now = [0.0]
    workers = Workers(failures=1)
    async with SpeakerModel(workers, lambda: now[0]) as model:
        for _ in range(2):
            with pytest.raises(SpeakersUnavailable, match="no weights"):
                await model.start()
        assert workers.made == 1
        now[0] = RETRY_SECONDS
        await model.start()
        assert workers.made == 2


async def test_chunk_that_fails_leaves_the_others_alone() -> None:
    async with SpeakerModel(Workers()) as model:
        good, bad = await asyncio.gather(
            model.analyse(voice(0.5)), model.analyse(voice(np.nan)), return_exceptions=True
        )
    assert isinstance(good, ChunkSpeakers)
    assert isinstance(bad, SpeakersUnavailable)


@pytest.mark.slow
@needs_flite
async def test_networks_run_in_a_process() -> None:
    network()  # skips without weights
    async with SpeakerModel(lambda: speaker_worker(download=False)) as model:
        found = await model.analyse(say("rms", SENTENCES[0]))
    assert len(found.pieces) >= 1
