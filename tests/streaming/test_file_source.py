"""Test that a file gives the events of a live stream, with bounded memory."""

import asyncio
import tracemalloc
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
import pytest

from audio.clip import Clip, Samples
from audio.errors import UnsupportedSampleRate
from streaming.driver import MAX_UNJUDGED, MAX_UNRECOGNISED
from streaming.errors import DetectorFailed
from streaming.events import Event, FinalTranscript, StreamClosed
from streaming.file_source import transcribe_file
from streaming.model_clients import ModelClients
from tests.streaming.fakes import flat, play, sound
from tests.streaming.working_models import BrokenDetector, HeldRecognizer, Recognizer, models
from tests.waiting import until

SECOND = 16_000
TALK = sound((False, SECOND), (True, SECOND), (False, SECOND), (True, 2 * SECOND), (False, SECOND))


def cut(samples: Samples, size: int = SECOND) -> Iterator[Clip]:
    for start in range(0, len(samples), size):
        yield Clip(samples[start : start + size], start)


async def collect(events: AsyncGenerator[Event, None], seen: list[Event]) -> None:
    async with aclosing(events):
        async for event in events:
            seen.append(event)  # noqa: PERF401


async def events_of(clips: Iterator[Clip], shared: ModelClients) -> list[Event]:
    seen: list[Event] = []
    await collect(transcribe_file(clips, shared), seen)
    return seen


def finals(events: list[Event]) -> list[FinalTranscript]:
    return [event for event in events if isinstance(event, FinalTranscript)]


async def test_file_gives_the_events_of_a_live_stream() -> None:
    live = play(TALK, range(0, len(TALK), 320))
    async with models() as shared:
        assert flat(await events_of(cut(TALK), shared)) == flat(live)
        assert flat(await events_of(cut(TALK, 5_000), shared)) == flat(live)


async def test_finals_are_in_order_and_at_the_place_of_speech() -> None:
    async with models() as shared:
        first, second = finals(await events_of(cut(TALK), shared))
    assert first.clip.start <= SECOND <= 2 * SECOND <= first.clip.end <= second.clip.start
    assert second.clip.start <= 3 * SECOND < 5 * SECOND <= second.clip.end
    assert second.clip.end - second.clip.start < 3 * SECOND


async def test_nothing_is_transcribed_twice() -> None:
    """Neither eagerly nor in part, not even for an incremental recognizer."""
    recognizer = Recognizer()
    async with models(recognizer, incremental=True) as shared:
        await events_of(cut(TALK), shared)
    assert (sum(recognizer.batches), recognizer.partials) == (2, 0)


async def test_files_share_batches_and_do_not_mix() -> None:
    files = [sound((True, seconds * SECOND), (False, SECOND)) for seconds in (1, 2, 3, 4)]
    held = HeldRecognizer()
    async with models(held) as shared:
        together = asyncio.gather(*(events_of(cut(file), shared) for file in files))
        await until(lambda: shared.asr.items + len(shared.asr) >= len(files))
        held.gate.set()
        texts = [[final.hypothesis.text for final in finals(events)] for events in await together]
    async with models() as shared:
        alone = [
            [final.hypothesis.text for final in finals(await events_of(cut(file), shared))] for file in files
        ]
    assert texts == alone
    assert len(held.batches) <= 2


async def test_a_file_is_read_no_faster_than_it_is_recognised() -> None:
    held = HeldRecognizer()
    ahead = [0]

    def watched() -> Iterator[Clip]:
        for clip in cut(sound(*[(True, 4 * SECOND), (False, SECOND)] * 30)):
            ahead.append(clip.end - held.heard)
            yield clip

    async with models(held) as shared:
        reading = asyncio.create_task(events_of(watched(), shared))
        await until(lambda: max(ahead) >= MAX_UNRECOGNISED)
        held.gate.set()
        assert len(finals(await reading)) == 30
    silence = MAX_UNRECOGNISED // 4
    assert max(ahead) < MAX_UNRECOGNISED + silence + MAX_UNJUDGED + 10 * SECOND


async def test_progress_grows_up_to_the_end() -> None:
    told: list[int] = []
    async with models() as shared:
        await collect(transcribe_file(cut(TALK), shared, on_progress=told.append), [])
    assert told == sorted(set(told))
    assert told[-1] > len(TALK) - 512


async def test_audio_before_a_read_error_is_transcribed() -> None:
    def breaking() -> Iterator[Clip]:
        yield from cut(TALK)
        raise UnsupportedSampleRate("1 Hz")

    seen: list[Event] = []
    async with models() as shared:
        with pytest.raises(UnsupportedSampleRate, match="1 Hz"):
            await collect(transcribe_file(breaking(), shared), seen)
        assert shared.slots.lent == 0  # type: ignore[attr-defined]
    assert len(finals(seen)) == 2
    assert isinstance(seen[-1], StreamClosed)


async def test_an_empty_file_only_ends() -> None:
    async with models() as shared:
        assert await events_of(iter(()), shared) == [StreamClosed(0, 0, 0, 0, 0)]


async def test_broken_detector_raises() -> None:
    async with models(detector=BrokenDetector()) as shared:
        with pytest.raises(DetectorFailed):
            await events_of(cut(TALK), shared)


async def test_leaving_early_frees_slots_and_tasks() -> None:
    async with models() as shared:
        async with aclosing(transcribe_file(cut(TALK), shared)) as events:
            await anext(events)
            assert shared.slots.lent == 1  # type: ignore[attr-defined]
        assert shared.slots.lent == 0  # type: ignore[attr-defined]
        assert all(task.get_name() != "pour a file" for task in asyncio.all_tasks())


@dataclass
class Heard:
    """Summarize the events of a long file."""

    utterances: int = 0
    last: int = 0
    closed: StreamClosed | None = None


async def listen(clips: Iterator[Clip], shared: ModelClients) -> Heard:
    heard = Heard()
    async with aclosing(transcribe_file(clips, shared)) as events:
        async for event in events:
            if isinstance(event, FinalTranscript):
                assert event.clip.start >= heard.last
                heard.last = event.clip.end
                heard.utterances += 1
            elif isinstance(event, StreamClosed):
                heard.closed = event
    return heard


@pytest.mark.slow
async def test_memory_does_not_grow_with_the_length_of_the_file() -> None:
    """tracemalloc counts numpy's memory. A minute of audio is 3.8 MB, a quarter of an hour 58 MB."""

    minute = sound(*[(True, 4 * SECOND), (False, SECOND)] * 12)

    def quarter() -> Iterator[Clip]:
        for start in range(0, 15 * len(minute), SECOND):
            at = start % len(minute)
            yield Clip(np.array(minute[at : at + SECOND]), start)

    async with models() as shared:
        tracemalloc.start()
        try:
            heard = await listen(quarter(), shared)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert heard.utterances == 15 * 12
    assert heard.closed is not None
    assert heard.closed.received == 900 * SECOND
    assert heard.last > 898 * SECOND
    assert peak < 15e6
