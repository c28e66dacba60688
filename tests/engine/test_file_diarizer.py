"""Test the turns of a file that is read clip by clip, with two voices that a rule tells apart."""

import asyncio

import numpy as np
import pytest

from audio.clip import Clip, Samples
from batching.batcher import BULK
from diarization.chunks import ChunkSpeakers
from diarization.clustering import SpeakerBounds
from diarization.known_speakers import MAX_KNOWN
from engine.file_diarizer import MAX_PENDING, DiarizationOptions, FileDiarizer, KnownSpeaker
from streaming.errors import SpeakersUnavailable
from tests.diarization.voices import RuleClient

SECOND = 16_000


def talk(*runs: tuple[float, float]) -> Samples:
    """Return runs of a level and a number of seconds."""
    return np.concatenate([np.full(round(seconds * SECOND), level, np.float32) for level, seconds in runs])


TALK = talk((0, 1), (0.5, 4), (0, 1), (-0.5, 5), (0, 1), (0.5, 3), (-0.5, 3), (0, 1))


async def heard(samples: Samples, size: int, options: DiarizationOptions) -> list[tuple[float, float, str]]:
    async with FileDiarizer(RuleClient(), options) as diarizer:
        for start in range(0, len(samples), size):
            await diarizer.listen(Clip(samples[start : start + size], start))
        found = await diarizer.finish()
    return [
        (round(t.start / SECOND, 1), round(t.end / SECOND, 1), found.labels[t.speaker]) for t in found.turns
    ]


async def test_turns_do_not_depend_on_the_clips() -> None:
    whole = await heard(TALK, len(TALK), DiarizationOptions())
    assert [label for _, _, label in whole] == ["A", "B", "A", "B"]
    assert whole[0][:2] == pytest.approx((1, 5), abs=0.1)
    assert whole == await heard(TALK, 1_000, DiarizationOptions())


async def test_known_speakers_have_their_names() -> None:
    known = (KnownSpeaker("Ann", talk((-0.5, 3))), KnownSpeaker("B", talk((0, 3))))
    labels = [label for _, _, label in await heard(TALK, SECOND, DiarizationOptions(known=known))]
    assert labels == ["A", "Ann", "A", "Ann"]


async def test_bounds_limit_the_number_of_speakers() -> None:
    options = DiarizationOptions(SpeakerBounds(1, 1))
    assert {label for _, _, label in await heard(TALK, SECOND, options)} == {"A"}


async def test_silent_file_has_no_turns() -> None:
    assert await heard(talk((0, 12)), SECOND, DiarizationOptions()) == []


async def test_unusable_model_is_reported() -> None:
    async with FileDiarizer(RuleClient(broken=True), DiarizationOptions()) as diarizer:
        await diarizer.listen(Clip(TALK))
        with pytest.raises(SpeakersUnavailable):
            await diarizer.finish()


class HeldClient(RuleClient):
    """Answer once the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.is_full = asyncio.Event()
        self.asked = 0

    async def analyse(self, chunk: Samples, /, priority: int = BULK) -> ChunkSpeakers:
        self.asked += 1
        if self.asked == MAX_PENDING:
            self.is_full.set()
        await self.gate.wait()
        return await super().analyse(chunk)


async def test_reading_waits_while_many_chunks_wait() -> None:
    client = HeldClient()
    async with FileDiarizer(client, DiarizationOptions()) as diarizer:
        reading = asyncio.create_task(diarizer.listen(Clip(np.zeros(200 * SECOND, np.float32))))
        await client.is_full.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert client.asked == MAX_PENDING
        assert not reading.done()
        client.gate.set()
        await reading
        await diarizer.finish()


async def test_leaving_withdraws_waiting_chunks() -> None:
    client = HeldClient()
    async with FileDiarizer(client, DiarizationOptions()) as diarizer:
        await diarizer.listen(Clip(TALK))
    assert client.chunks == 0


def test_too_many_known_speakers_are_refused() -> None:
    with pytest.raises(ValueError, match=f"at most {MAX_KNOWN}"):
        DiarizationOptions(known=(KnownSpeaker("x", talk((0.5, 1))),) * (MAX_KNOWN + 1))
