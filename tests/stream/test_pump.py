"""The pump: a session at work on real batchers, with little models."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from asr.hypothesis import Hypothesis, Request
from audio.clip import Clip, Samples
from batching.batcher import Batcher
from batching.worker import ThreadWorker
from stream.errors import DetectorFailed
from stream.events import Closed, Event, Failed, Final, Partial
from stream.options import SessionOptions
from stream.pump import MAX_UNJUDGED, Models, Probabilities, Pump
from tests.stream.little import detect, sound, transcribe
from vad.segmenter import Reason
from vad.work import Work

SECOND = 16_000
Detect = Callable[[object, list[Work]], list[Probabilities]]
Transcribe = Callable[[object, Sequence[Request]], list[Hypothesis]]


class CountingSlots:
    """Numbers, and how many of them are lent."""

    def __init__(self) -> None:
        self.lent = 0
        self._next = 0

    def open(self) -> int:
        self.lent += 1
        self._next += 1
        return self._next

    def close(self, slot: int, /) -> None:
        self.lent -= 1


@asynccontextmanager
async def models(
    detect: Detect = detect, transcribe: Transcribe = transcribe, waiting: int = 100
) -> AsyncIterator[Models]:
    vad_worker = ThreadWorker(lambda: None, detect, name="vad")
    asr_worker = ThreadWorker(lambda: None, transcribe, name="asr")
    await vad_worker.start()
    await asr_worker.start()
    async with (
        Batcher(vad_worker, max_items=100, max_waiting=100, stateless=False) as vad,
        Batcher(asr_worker, max_items=8, max_waiting=waiting) as asr,
    ):
        yield Models(CountingSlots(), vad, asr)


async def pour(pump: Pump, samples: Samples, chunk: int = 1600) -> None:
    for start in range(0, len(samples), chunk):
        await pump.room()
        pump.receive_audio(Clip(samples[start : start + chunk], start))


async def events_of(pump: Pump) -> list[Event]:
    return [event async for event in pump.events()]


TALK = sound((False, SECOND), (True, SECOND), (False, SECOND), (True, SECOND), (False, SECOND))


async def test_a_stream_gives_its_finals_and_ends() -> None:
    async with models() as shared:
        with Pump(shared, SessionOptions(partials=True)) as pump:
            await pour(pump, TALK)
            pump.end(Reason.END_OF_STREAM)
            events = await events_of(pump)
    assert sum(isinstance(event, Final) for event in events) == 2
    assert isinstance(events[-1], Closed)
    assert events[-1].received == len(TALK)


async def test_streams_do_not_mix() -> None:
    async with models() as shared:

        async def run(seconds: int) -> list[str]:
            with Pump(shared, SessionOptions()) as pump:
                await pour(pump, sound((False, SECOND), (True, seconds * SECOND), (False, SECOND)))
                pump.end(Reason.END_OF_STREAM)
                return [e.hypothesis.text for e in await events_of(pump) if isinstance(e, Final)]

        alone = [await run(seconds) for seconds in (1, 2, 3)]
        assert await asyncio.gather(*(run(seconds) for seconds in (1, 2, 3))) == alone
        assert len({text for texts in alone for text in texts}) == 3


async def test_the_slot_is_given_back_and_what_waits_is_cancelled_when_the_pump_is_left() -> None:
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    def held(recognizer: object, requests: Sequence[Request]) -> list[Hypothesis]:
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
        return transcribe(recognizer, requests)

    async with models(transcribe=held) as shared:
        with Pump(shared, SessionOptions()) as first, Pump(shared, SessionOptions()) as second:
            for pump in (first, second):
                await pour(pump, TALK)
                pump.end(Reason.DISCONNECT)
            while len(shared.asr) < 2:
                await asyncio.sleep(0.001)
            assert shared.slots.lent == 2  # type: ignore[attr-defined]
        assert shared.slots.lent == 0  # type: ignore[attr-defined]
        assert len(shared.asr) == 0
        gate.set()


async def test_audio_is_held_back_while_too_much_of_it_waits_for_the_detector() -> None:
    async with models() as shared:
        with Pump(shared, SessionOptions()) as pump:
            pump.receive_audio(Clip(sound((False, MAX_UNJUDGED + SECOND))))
            assert not pump.has_room
            await pump.room()
            assert pump.session.unjudged < MAX_UNJUDGED


async def test_a_broken_detector_ends_the_stream_loudly() -> None:
    def broken(detector: object, work: list[Work]) -> list[Probabilities]:
        raise RuntimeError("out of memory")

    async with models(detect=broken) as shared:
        with Pump(shared, SessionOptions()) as pump:
            await pour(pump, TALK)
            with pytest.raises(DetectorFailed):
                await events_of(pump)


async def test_a_broken_recognizer_is_told_for_each_utterance() -> None:
    def broken(recognizer: object, requests: Sequence[Request]) -> list[Hypothesis]:
        raise RuntimeError("out of memory")

    async with models(transcribe=broken) as shared:
        with Pump(shared, SessionOptions()) as pump:
            await pour(pump, TALK)
            pump.end(Reason.END_OF_STREAM)
            events = await events_of(pump)
    failed = [event for event in events if isinstance(event, Failed)]
    assert [event.utterance for event in failed] == [1, 2]
    assert "out of memory" in failed[0].message


async def test_with_no_place_in_the_queue_partials_and_eager_finals_are_shed_and_finals_are_not() -> None:
    async with models(waiting=0) as shared:
        with Pump(shared, SessionOptions(partials=True)) as pump:
            await pour(pump, TALK)
            pump.end(Reason.END_OF_STREAM)
            events = await events_of(pump)
    assert not any(isinstance(event, Partial) for event in events)
    assert sum(isinstance(event, Final) for event in events) == 2


async def test_an_unsent_partial_is_replaced_by_the_next_one() -> None:
    async with models() as shared:
        with Pump(shared, SessionOptions(partials=True)) as pump:
            await pour(pump, sound((True, 10 * SECOND)), chunk=8_000)
            while pump.session.unjudged >= 512:
                await asyncio.sleep(0.001)
            pump.end(Reason.END_OF_STREAM)
            events = await events_of(pump)
    assert sum(isinstance(event, Partial) for event in events) <= 1
    assert sum(isinstance(event, Final) for event in events) == 1


async def test_a_cancelled_listener_misses_nothing() -> None:
    async with models() as shared:
        with Pump(shared, SessionOptions()) as pump:
            listener = asyncio.create_task(events_of(pump))
            await asyncio.sleep(0)
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)
            await pour(pump, TALK)
            pump.end(Reason.END_OF_STREAM)
            assert sum(isinstance(event, Final) for event in await events_of(pump)) == 2


class HeldRecognizer:
    """Answers once its gate is open; remembers how long the clips were, batch by batch."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self._loop = asyncio.get_running_loop()
        self._gate = asyncio.Event()

    def open(self) -> None:
        self._gate.set()

    def transcribe(self, recognizer: object, requests: Sequence[Request]) -> list[Hypothesis]:
        self.batches.append([request.clip.seconds for request in requests])
        asyncio.run_coroutine_threadsafe(self._gate.wait(), self._loop).result()
        return transcribe(recognizer, requests)


async def judged(pump: Pump, samples: Samples) -> None:
    """Pours sound in and waits until the detector has spoken about all of it."""
    for start in range(0, len(samples), 1600):
        pump.receive_audio(Clip(samples[start : start + 1600], pump.session.received))
    while pump.session.unjudged >= 512:
        await asyncio.sleep(0.001)


async def test_a_waiting_partial_is_replaced_by_a_newer_one_and_a_running_one_is_left_alone() -> None:
    held = HeldRecognizer()
    async with models(transcribe=held.transcribe) as shared:
        with (
            Pump(shared, SessionOptions(partials=True)) as other,
            Pump(shared, SessionOptions(partials=True)) as pump,
        ):
            await judged(other, sound((True, SECOND)))
            while not held.batches:
                await asyncio.sleep(0.001)
            await judged(pump, sound((True, 4 * SECOND)))
            assert len(shared.asr) == 1
            held.open()
            while len(held.batches) < 2:
                await asyncio.sleep(0.001)
            assert held.batches[1][0] > 3.5


async def test_a_waiting_eager_final_is_dropped_when_speech_goes_on() -> None:
    held = HeldRecognizer()
    async with models(transcribe=held.transcribe) as shared:
        with Pump(shared, SessionOptions(partials=True)) as other, Pump(shared, SessionOptions()) as pump:
            await judged(other, sound((True, SECOND)))
            while not held.batches:
                await asyncio.sleep(0.001)
            await judged(pump, sound((True, SECOND), (False, 3_000)))
            assert len(shared.asr) == 1
            await judged(pump, sound((True, SECOND)))
            assert len(shared.asr) == 0
            held.open()


async def test_a_pump_that_was_left_asks_the_models_nothing_more() -> None:
    async with models() as shared:
        with Pump(shared, SessionOptions()) as pump:
            pump.receive_audio(Clip(TALK))
        await shared.vad.submit(Work(99, sound((True, 512)).reshape(1, 512)))
        assert (shared.vad.items, shared.asr.items) == (2, 0)


async def test_finals_for_which_nobody_waits_go_behind_all_live_work() -> None:
    gate, order = asyncio.Event(), list[str]()
    loop = asyncio.get_running_loop()

    def held(recognizer: object, requests: Sequence[Request]) -> list[Hypothesis]:
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
        order.extend(request.utterance.partition("/")[0] for request in requests)
        return transcribe(recognizer, requests)

    async with models(transcribe=held) as shared:
        with (
            Pump(shared, SessionOptions(eager=False), "first") as first,
            Pump(replace(shared, bulk=True), SessionOptions(eager=False), "file") as file,
            Pump(shared, SessionOptions(eager=False), "live") as live,
        ):
            for place, pump in enumerate((first, file, live)):
                await pour(pump, sound((True, SECOND)))
                pump.end(Reason.END_OF_STREAM)
                while shared.asr.items + len(shared.asr) <= place:
                    await asyncio.sleep(0.001)
            gate.set()
            for pump in (first, file, live):
                assert sum(isinstance(event, Final) for event in await events_of(pump)) == 1
    assert order == ["first", "live", "file"]
