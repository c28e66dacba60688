"""Test the model of speakers behind its queue, with a simple rule in place of the networks."""

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from asr.errors import ModelUnavailable
from audio.clip import Clip, Samples
from batching.threads import ThreadWorker
from diarization.chunks import ChunkSpeakers
from diarization.clustering import SpeakerBounds
from diarization.steps import Step, StepSpeakers, turns_of_steps
from diarization.streaming_network import StreamingNetwork
from engine.file_diarizer import (
    DiarizationOptions,
    Diarizer,
    FileDiarizer,
    KnownSpeaker,
    StepDiarizer,
    diarizer_of,
)
from engine.lazy_model import RETRY_SECONDS
from engine.speaker_model import SpeakerModel, StepModel, speaker_worker, step_worker
from streaming.errors import SpeakersUnavailable
from tests.diarization.spoken import SENTENCES, needs_flite, network, say
from tests.diarization.test_streaming_network import recording, stepwise, write_model
from tests.diarization.voices import RuleClient, RuleNetwork
from tests.streaming.working_models import models

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


async def test_steps_of_files_run_in_a_process(tmp_path: Path) -> None:
    folder = str(write_model(tmp_path))
    samples = recording(40)
    async with StepModel(partial(step_worker, folder, dtype="float32")) as model:
        await model.start()
        diarizers = [StepDiarizer(model), StepDiarizer(model)]
        for start in range(0, len(samples), SECOND):
            for diarizer in diarizers:
                await diarizer.listen(Clip(samples[start : start + SECOND], start))
        one, other = [await diarizer.finish() for diarizer in diarizers]
    expected = turns_of_steps([stepwise(StreamingNetwork.load(folder, dtype="float32"), samples)])
    assert one.turns == other.turns
    assert len(one.turns) == len(expected) > 1
    assert [turn.speaker for turn in one.turns] == [turn.speaker for turn in expected]


async def test_missing_step_model_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    async with StepModel(partial(step_worker, "nobody/none")) as model:
        with pytest.raises(SpeakersUnavailable, match="nobody/none"):
            await model.start()


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (DiarizationOptions(), StepDiarizer),
        (DiarizationOptions(SpeakerBounds(2, 3)), FileDiarizer),
        (DiarizationOptions(known=(KnownSpeaker("Ann", voice(0.1)),)), FileDiarizer),
    ],
)
async def test_wishes_that_steps_cannot_meet_go_to_the_networks(
    options: DiarizationOptions, kind: type[Diarizer]
) -> None:
    class Steps:
        async def start(self) -> None:
            pass

        async def run(self, step: Step, /) -> StepSpeakers:
            raise NotImplementedError

    async with models() as shared:
        both = replace(shared, speakers=RuleClient(), speaker_steps=Steps())
        assert isinstance(await diarizer_of(both, options), kind)
        assert await diarizer_of(shared, options) is None
