"""Test that partials name who probably speaks, and never wait for it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np

from asr.recognizer import Hypothesis
from audio.clip import Clip, Samples
from batching.batcher import BULK
from diarization.chunks import ChunkSpeakers
from server.connection.partial_speakers import HEARD, PartialSpeakers
from streaming.events import FinalTranscript, PartialTranscript
from streaming.stream_speakers import SOON, StreamSpeakers
from tests.diarization.voices import RuleClient
from tests.waiting import until
from vad.segmenter import Reason

A, B = 0.5, -0.5


class HeldClient(RuleClient):
    """Answer searches for partials once `go` is set."""

    def __init__(self, broken: bool = False) -> None:
        super().__init__(broken)
        self.go = asyncio.Event()
        self.priorities: list[int] = []

    async def analyse(self, chunk: Samples, /, priority: int = BULK) -> ChunkSpeakers:
        self.priorities.append(priority)
        if priority == SOON:
            await self.go.wait()
        return await super().analyse(chunk, priority)


def beginning(level: float) -> Callable[[int, int], Samples | None]:
    return lambda utterance, samples: np.full(samples, level, np.float32)


def partial(utterance: int) -> PartialTranscript:
    return PartialTranscript(utterance, 0, "well", 0)


async def heard(client: RuleClient, *levels: float) -> StreamSpeakers:
    """Return the speakers of a stream in which these voices have spoken."""
    speakers = StreamSpeakers(client)
    for level in levels:
        clip = Clip(np.full(2 * HEARD, level, np.float32))
        await speakers.label(FinalTranscript(1, clip, Reason.SILENCE, Hypothesis("well")))
    return speakers


@asynccontextmanager
async def searching() -> AsyncIterator[PartialSpeakers]:
    found = PartialSpeakers()
    try:
        yield found
    finally:
        found.close()


async def labelled(
    found: PartialSpeakers, speakers: StreamSpeakers, level: float, utterance: int
) -> str | None:
    """Return the speaker of a partial after the search of its utterance has ended."""
    first = found.labelled(partial(utterance), speakers, beginning(level))
    assert first.speaker is None
    assert found._search is not None
    await asyncio.wait([found._search])
    return found.labelled(partial(utterance), speakers, beginning(level)).speaker


async def test_partials_after_the_search_have_the_speaker() -> None:
    client = HeldClient()
    speakers = await heard(client, A, B)
    client.go.set()
    async with searching() as found:
        assert [await labelled(found, speakers, level, n) for n, level in enumerate((B, A), 3)] == ["B", "A"]


async def test_partial_does_not_wait_for_the_search() -> None:
    client = HeldClient()
    speakers = await heard(client, A)
    async with searching() as found:
        for _ in range(3):
            assert found.labelled(partial(2), speakers, beginning(A)).speaker is None
            await until(lambda: SOON in client.priorities)
        assert client.priorities.count(SOON) == 1
        assert found.labelled(partial(3), speakers, beginning(A)).speaker is None  # the search of 2 is over
        client.go.set()
        await until(lambda: found.labelled(partial(3), speakers, beginning(A)).speaker == "A")


async def test_new_voice_has_no_label_and_is_not_remembered() -> None:
    client = HeldClient()
    speakers = await heard(client, A)
    client.go.set()
    before = speakers.saved()
    async with searching() as found:
        assert await labelled(found, speakers, B, 2) is None
    assert speakers.saved() == before


async def test_brief_utterance_and_first_voice_are_not_searched() -> None:
    client = HeldClient()
    async with searching() as found:
        without_voices = StreamSpeakers(client)
        assert found.labelled(partial(1), without_voices, beginning(A)).speaker is None
        speakers = await heard(client, A)
        assert found.labelled(partial(1), speakers, lambda utterance, samples: None).speaker is None
    assert SOON not in client.priorities


async def test_broken_model_leaves_partials_without_a_speaker() -> None:
    speakers = StreamSpeakers.restored(RuleClient(broken=True), (await heard(RuleClient(), A)).saved())
    async with searching() as found:
        assert await labelled(found, speakers, A, 2) is None
