"""The driver runs a session on real batchers, with small models."""

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Hypothesis, RecognitionRequest
from audio.clip import Clip, Samples
from batching.batcher import BULK, BatchedItem, Batcher
from batching.errors import ModelDied
from batching.threads import ThreadWorker
from streaming.degradation import Degradation
from streaming.driver import MAX_UNJUDGED, UNREAD_SECONDS, StreamDriver
from streaming.endpointing import AdaptiveSilence, ModelSilence
from streaming.errors import DetectorFailed, EventsUnread, Overloaded, StreamBroken
from streaming.event_queue import MAX_EVENTS
from streaming.events import (
    Event,
    FinalTranscript,
    LagReported,
    PartialTranscript,
    StreamClosed,
    TranscriptionFailed,
    UtteranceEnded,
    UtteranceStarted,
)
from streaming.model_clients import ModelClients, Probabilities, TaskOutcome
from streaming.options import SessionOptions
from streaming.session import Session
from streaming.snapshot import RestorePoint, Snapshot, save
from streaming.utterance import RecordedResult, TaskKind
from tests.examples import examples
from tests.streaming.fakes import (
    FEW_GUARDS,
    complete,
    detect,
    detect_all,
    flat,
    hear,
    play,
    sound,
    transcribe,
)
from tests.streaming.working_models import Detector, Recognizer
from tests.streaming.working_models import models as working
from tests.waiting import until
from vad.detector_input import DetectorInput, DetectorState
from vad.segmenter import Reason

SECOND = 16_000
Detect = Callable[[object, list[DetectorInput]], list[Probabilities]]
Transcribe = Callable[[object, Sequence[RecognitionRequest]], list[Hypothesis]]


class CountingSlots:
    """Number slots, and count those in use."""

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
    detect: Detect = detect,
    transcribe: Transcribe = transcribe,
    waiting: int = 100,
    on_batch: Callable[[Sequence[BatchedItem]], None] = lambda batch: None,
) -> AsyncIterator[ModelClients]:
    vad_worker = ThreadWorker(lambda: None, detect, name="vad")
    asr_worker = ThreadWorker(lambda: None, transcribe, name="asr")
    await vad_worker.start()
    await asr_worker.start()
    async with (
        Batcher(vad_worker, max_items=100, max_waiting=100, stateless=False) as vad,
        Batcher(asr_worker, max_items=8, max_waiting=waiting, on_batch=on_batch) as asr,
    ):
        yield ModelClients(CountingSlots(), vad, asr)


async def pour(driver: StreamDriver, samples: Samples, chunk: int = 1600) -> None:
    for start in range(0, len(samples), chunk):
        await driver.wait_for_capacity()
        driver.receive_audio(Clip(samples[start : start + chunk], start))


async def events_of(driver: StreamDriver) -> list[Event]:
    return [event async for event in driver.events()]


TALK = sound((False, SECOND), (True, SECOND), (False, SECOND), (True, SECOND), (False, SECOND))


async def test_stream_gives_its_finals_and_ends() -> None:
    async with models() as shared:
        with StreamDriver(shared, SessionOptions(partials=True)) as driver:
            await pour(driver, TALK)
            driver.end(Reason.END_OF_STREAM)
            events = await events_of(driver)
    assert sum(isinstance(event, FinalTranscript) for event in events) == 2
    assert isinstance(events[-1], StreamClosed)
    assert events[-1].received == len(TALK)


async def test_sums_are_reported_once_however_the_stream_ends() -> None:
    for ends in (True, False):
        accounts: list[StreamClosed] = []
        async with models() as shared:
            with StreamDriver(replace(shared, on_stream_closed=accounts.append), SessionOptions()) as driver:
                await pour(driver, TALK)
                if ends:
                    driver.end(Reason.END_OF_STREAM)
                    await events_of(driver)
        (closed,) = accounts
        assert closed.received == len(TALK) == closed.speech + closed.non_speech + closed.dropped
        assert (closed.dropped == 0) is ends


async def test_handed_over_stream_reports_no_sums() -> None:
    accounts: list[StreamClosed] = []
    async with models() as shared:
        with StreamDriver(replace(shared, on_stream_closed=accounts.append), SessionOptions()) as driver:
            await pour(driver, TALK)
            driver.hand_over()
    assert accounts == []


async def test_only_the_final_is_retried_after_the_model_died() -> None:
    heard: list[bool] = []

    def die(recognizer: object, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        heard.extend(request.partial for request in requests)
        raise ModelDied("it died")

    options = SessionOptions(partials=True, eager=False)
    async with models(transcribe=die) as shared:
        with StreamDriver(shared, options) as driver:
            await pour(driver, sound((False, SECOND), (True, 4 * SECOND), (False, SECOND)), chunk=512)
            await until(lambda: heard)
            driver.end(Reason.END_OF_STREAM)
            events = await events_of(driver)
    assert heard.count(True) <= 2  # the first one, and one that was running
    assert heard.count(False) == ModelDied.tries
    assert [event.message for event in events if isinstance(event, TranscriptionFailed)] == [
        "ModelDied: it died"
    ]


async def test_streams_do_not_mix() -> None:
    async with models() as shared:

        async def run(seconds: int) -> list[str]:
            with StreamDriver(shared, SessionOptions()) as driver:
                await pour(driver, sound((False, SECOND), (True, seconds * SECOND), (False, SECOND)))
                driver.end(Reason.END_OF_STREAM)
                return [e.hypothesis.text for e in await events_of(driver) if isinstance(e, FinalTranscript)]

        alone = [await run(seconds) for seconds in (1, 2, 3)]
        assert await asyncio.gather(*(run(seconds) for seconds in (1, 2, 3))) == alone
        assert len({text for texts in alone for text in texts}) == 3


async def test_leaving_frees_the_slot_and_cancels_tasks() -> None:
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    def held(recognizer: object, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
        return transcribe(recognizer, requests)

    async with models(transcribe=held) as shared:
        with (
            StreamDriver(shared, SessionOptions()) as first,
            StreamDriver(shared, SessionOptions()) as second,
        ):
            for driver in (first, second):
                await pour(driver, TALK)
                driver.end(Reason.DISCONNECT)
            await until(lambda: len(shared.asr) >= 2)
            assert shared.slots.lent == 2  # type: ignore[attr-defined]
        assert shared.slots.lent == 0  # type: ignore[attr-defined]
        assert len(shared.asr) == 0
        gate.set()


async def test_driver_has_no_capacity_while_the_detector_is_behind() -> None:
    async with models() as shared:
        with StreamDriver(shared, SessionOptions()) as driver:
            driver.receive_audio(Clip(sound((False, MAX_UNJUDGED + SECOND))))
            assert not driver.has_capacity
            await driver.wait_for_capacity()
            assert driver.session.unjudged < MAX_UNJUDGED


async def test_broken_detector_ends_the_stream_with_an_error() -> None:
    def broken(detector: object, work: list[DetectorInput]) -> list[Probabilities]:
        raise RuntimeError("out of memory")

    async with models(detect=broken) as shared:
        with StreamDriver(shared, SessionOptions()) as driver:
            await pour(driver, TALK)
            with pytest.raises(DetectorFailed):
                await events_of(driver)


async def test_internal_error_ends_the_stream_with_an_error() -> None:
    def wrong(detector: object, work: list[DetectorInput]) -> list[Probabilities]:
        return [np.zeros((1, 2), np.float32) for _ in work]  # lists instead of numbers

    async with models(detect=wrong) as shared:
        with StreamDriver(shared, SessionOptions()) as driver:
            await pour(driver, TALK)
            with pytest.raises(StreamBroken) as broken:
                await events_of(driver)
            assert isinstance(broken.value.__cause__, TypeError)


async def test_eager_final_is_retried_if_the_model_dies() -> None:
    gate, loop = asyncio.Event(), asyncio.get_running_loop()
    calls: list[int] = []

    def dying(recognizer: object, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        calls.append(len(requests))
        if len(calls) == 1:
            asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
            raise ModelDied("killed")
        return transcribe(recognizer, requests)

    speech = sound((True, SECOND), (False, SECOND // 8), (False, 7 * SECOND))
    async with models(transcribe=dying) as shared:
        with StreamDriver(shared, SessionOptions()) as driver:
            driver.receive_audio(Clip(speech[: SECOND + SECOND // 8], 0))
            await until(lambda: calls)  # the pause has begun, and so has the eager final
            driver.receive_audio(
                Clip(speech[SECOND + SECOND // 8 :], SECOND + SECOND // 8)
            )  # as a file comes
            await judged_up_to(driver, len(speech) - 512)
            gate.set()
            driver.end(Reason.END_OF_STREAM)
            events = await events_of(driver)
    assert [
        type(event).__name__ for event in events if isinstance(event, FinalTranscript | TranscriptionFailed)
    ] == ["FinalTranscript"]


async def judged_up_to(driver: StreamDriver, sample: int) -> None:
    await until(lambda: driver.session.judged >= sample)


async def test_broken_recognizer_is_reported_for_each_utterance() -> None:
    def broken(recognizer: object, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        raise RuntimeError("out of memory")

    async with models(transcribe=broken) as shared:
        with StreamDriver(shared, SessionOptions()) as driver:
            await pour(driver, TALK)
            driver.end(Reason.END_OF_STREAM)
            events = await events_of(driver)
    failed = [event for event in events if isinstance(event, TranscriptionFailed)]
    assert [event.utterance for event in failed] == [1, 2]
    assert "out of memory" in failed[0].message


async def test_full_queue_sheds_partials_and_eager_finals_only() -> None:
    async with models(waiting=0) as shared:
        with StreamDriver(shared, SessionOptions(partials=True)) as driver:
            await pour(driver, TALK)
            driver.end(Reason.END_OF_STREAM)
            events = await events_of(driver)
    assert not any(isinstance(event, PartialTranscript) for event in events)
    assert sum(isinstance(event, FinalTranscript) for event in events) == 2


async def test_unread_partial_is_replaced_by_the_next_one() -> None:
    async with models() as shared:
        with StreamDriver(shared, SessionOptions(partials=True)) as driver:
            await pour(driver, sound((True, 10 * SECOND)), chunk=8_000)
            await until(lambda: driver.session.unjudged < 512)
            driver.end(Reason.END_OF_STREAM)
            events = await events_of(driver)
    assert sum(isinstance(event, PartialTranscript) for event in events) <= 1
    assert sum(isinstance(event, FinalTranscript) for event in events) == 1


async def test_cancelled_reader_of_events_misses_nothing() -> None:
    async with models() as shared:
        with StreamDriver(shared, SessionOptions()) as driver:
            listener = asyncio.create_task(events_of(driver))
            await asyncio.sleep(0)
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)
            await pour(driver, TALK)
            driver.end(Reason.END_OF_STREAM)
            assert sum(isinstance(event, FinalTranscript) for event in await events_of(driver)) == 2


class HeldRecognizer:
    """Answer once the gate is open; record the lengths of the clips of each batch."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self._loop = asyncio.get_running_loop()
        self._gate = asyncio.Event()

    def open(self) -> None:
        self._gate.set()

    def transcribe(self, recognizer: object, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        self.batches.append([request.clip.seconds for request in requests])
        asyncio.run_coroutine_threadsafe(self._gate.wait(), self._loop).result()
        return transcribe(recognizer, requests)


async def judged(driver: StreamDriver, samples: Samples) -> None:
    """Send audio and wait until all of it is judged."""
    for start in range(0, len(samples), 1600):
        driver.receive_audio(Clip(samples[start : start + 1600], driver.session.received))
    await until(lambda: driver.session.unjudged < 512)


async def test_waiting_partial_is_replaced_and_a_running_one_is_not() -> None:
    held = HeldRecognizer()
    async with models(transcribe=held.transcribe) as shared:
        with (
            StreamDriver(shared, SessionOptions(partials=True)) as other,
            StreamDriver(shared, SessionOptions(partials=True)) as driver,
        ):
            await judged(other, sound((True, SECOND)))
            await until(lambda: held.batches)
            await judged(driver, sound((True, 4 * SECOND)))
            assert len(shared.asr) == 1
            held.open()
            await until(lambda: len(held.batches) >= 2)
            assert held.batches[1][0] > 3.5


async def test_waiting_eager_final_is_dropped_when_speech_resumes() -> None:
    held = HeldRecognizer()
    async with models(transcribe=held.transcribe) as shared:
        with (
            StreamDriver(shared, SessionOptions(partials=True)) as other,
            StreamDriver(shared, SessionOptions()) as driver,
        ):
            await judged(other, sound((True, SECOND)))
            await until(lambda: held.batches)
            await judged(driver, sound((True, SECOND), (False, 3_000)))
            assert len(shared.asr) == 1
            await judged(driver, sound((True, SECOND)))
            assert len(shared.asr) == 0
            held.open()


async def test_left_driver_posts_no_further_tasks() -> None:
    async with models() as shared:
        with StreamDriver(shared, SessionOptions()) as driver:
            driver.receive_audio(Clip(TALK))
        await shared.vad.submit(DetectorInput(99, sound((True, 512)).reshape(1, 512)))
        assert (shared.vad.items, shared.asr.items) == (2, 0)


async def test_bulk_finals_run_after_live_tasks() -> None:
    gate, order = asyncio.Event(), list[str]()
    loop = asyncio.get_running_loop()

    def held(recognizer: object, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
        order.extend(request.utterance.partition("/")[0] for request in requests)
        return transcribe(recognizer, requests)

    async with models(transcribe=held) as shared:

        async def asked_for(finals: int) -> None:
            await until(lambda: shared.asr.items + len(shared.asr) >= finals)

        with (
            StreamDriver(shared, SessionOptions(eager=False), "first") as first,
            StreamDriver(replace(shared, bulk=True), SessionOptions(eager=False), "file") as file,
            StreamDriver(shared, SessionOptions(eager=False), "live") as live,
        ):
            for number, driver in enumerate((first, file, live), 1):
                await pour(driver, sound((True, SECOND)))
                driver.end(Reason.END_OF_STREAM)
                await asked_for(number)
            gate.set()
            for driver in (first, file, live):
                assert sum(isinstance(event, FinalTranscript) for event in await events_of(driver)) == 1
    assert order == ["first", "live", "file"]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def priorities_of(seconds: int, spoken_in: float) -> set[int]:
    """Return the priorities of the tasks of a stream whose audio arrived within so many seconds."""
    taken: list[BatchedItem] = []
    clock = Clock()
    async with models(on_batch=taken.extend) as shared:
        with StreamDriver(shared, SessionOptions(), clock=clock) as driver:
            clock.now = spoken_in
            await pour(driver, sound((False, SECOND), (True, (seconds - 2) * SECOND), (False, SECOND)))
            driver.end(Reason.END_OF_STREAM)
            await events_of(driver)
    return {job.priority for job in taken}


async def test_stream_ahead_of_the_clock_has_bulk_priority() -> None:
    assert await priorities_of(8, spoken_in=0.0) == {BULK}


@pytest.mark.parametrize(("seconds", "spoken_in"), [(8, 8.0), (8, 7.9), (4, 0.0), (8, 100.0)])
async def test_stream_at_the_pace_of_speech_has_live_priority(seconds: int, spoken_in: float) -> None:
    assert await priorities_of(seconds, spoken_in) <= {TaskKind.FINAL, TaskKind.EAGER}


async def test_bulk_finals_that_stall_are_promoted() -> None:
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    def held(recognizer: object, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
        return transcribe(recognizer, requests)

    taken: list[BatchedItem] = []
    async with models(transcribe=held, on_batch=taken.extend) as shared:
        busy = asyncio.create_task(shared.asr.submit(RecognitionRequest(Clip(TALK, 0))))
        with StreamDriver(
            shared, SessionOptions(eager=False), clock=lambda: 0.0, stall_seconds=0.01
        ) as driver:
            driver.receive_audio(Clip(sound((True, 100 * SECOND)), 0))
            await until(lambda: driver.session.unjudged <= SECOND)
            waiting = len(shared.asr)
            reader = asyncio.create_task(driver.wait_for_capacity())
            await until(lambda: shared.asr.lag > 0)
            assert not reader.done()
            gate.set()
            await reader
            driver.end(Reason.END_OF_STREAM)
            await events_of(driver)
        await busy
    assert [job.priority for job in taken[1:]][:waiting] == [TaskKind.FINAL] * waiting


async def test_reader_waits_while_the_recognizer_works_on_one_task() -> None:
    gate = threading.Event()

    def held(recognizer: object, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        gate.wait(60)
        return transcribe(recognizer, requests)

    async with models(transcribe=held) as shared:
        with StreamDriver(shared, SessionOptions(eager=False), stall_seconds=0.001) as driver:
            driver.receive_audio(Clip(sound((True, 100 * SECOND)), 0))
            await until(lambda: driver.session.unjudged <= SECOND)
            reader = asyncio.create_task(driver.wait_for_capacity())
            await asyncio.wait([reader], timeout=0.05)
            assert not reader.done()
            gate.set()
            await reader


async def test_stream_for_which_no_model_works_is_stalled() -> None:
    with idle_driver(SessionOptions(), Clock(), stall_seconds=0.001) as driver:
        driver.receive_audio(Clip(sound((True, MAX_UNJUDGED)), 0))
        with pytest.raises(Overloaded, match="no progress"):
            await driver.wait_for_capacity()


async def outcomes_of(
    sheds: frozenset[TaskKind], options: SessionOptions
) -> tuple[set[TaskKind], list[Event]]:
    """Return the kinds of the finished tasks, and the events."""
    done: set[TaskKind] = set()

    def on_task_done(kind: TaskKind, outcome: TaskOutcome) -> None:
        if outcome is TaskOutcome.DONE:
            done.add(kind)

    async with models() as shared:
        relieved = replace(
            shared, on_task_done=on_task_done, degradation=lambda: Degradation(shed_kinds=sheds)
        )
        with StreamDriver(relieved, options) as driver:
            await pour(driver, TALK)
            driver.end(Reason.END_OF_STREAM)
            return done, await events_of(driver)


async def test_finals_do_not_depend_on_what_is_shed() -> None:
    options = SessionOptions(partials=True)
    _, whole = await outcomes_of(frozenset(), options)
    done, without = await outcomes_of(frozenset({TaskKind.PARTIAL, TaskKind.EAGER}), options)
    assert done == {TaskKind.FINAL}
    assert not any(isinstance(event, PartialTranscript) for event in without)
    finals = [
        [e.hypothesis.text for e in events if isinstance(e, FinalTranscript)] for events in (whole, without)
    ]
    assert finals[0] == finals[1] != []


async def test_eager_task_that_decides_the_endpoint_is_not_shed() -> None:
    done, _ = await outcomes_of(frozenset({TaskKind.EAGER}), SessionOptions(turn=AdaptiveSilence()))
    assert TaskKind.EAGER in done


MODEL = SessionOptions(turn=ModelSilence())
TALK_WITH_PAUSES = sound(
    *((speech, samples) for n in range(5) for speech, samples in ((True, 9_000), (False, 8_000 + n))),
    (False, 2 * SECOND),
)


@asynccontextmanager
async def with_turn_model(judge: Callable[[object, list[Clip]], list[float]]) -> AsyncIterator[ModelClients]:
    worker = ThreadWorker(lambda: None, judge, name="turn")
    await worker.start()
    async with models() as shared, Batcher(worker, max_items=1, max_waiting=9) as turn_model:
        yield replace(shared, turn_model=turn_model)


async def turns(shared: ModelClients, seconds: float = 60.0) -> list[Event]:
    """Return the events of a stream that ends its turns by the model, which has so many seconds to answer."""
    with StreamDriver(shared, MODEL, turn_seconds=seconds) as driver:
        await pour(driver, TALK_WITH_PAUSES)
        driver.end(Reason.END_OF_STREAM)
        return await events_of(driver)


def judge_turns(model: object, clips: list[Clip]) -> list[float]:
    return [complete(clip) for clip in clips]


def turns_without_model() -> list[str]:
    return flat(play(TALK_WITH_PAUSES, [], options=SessionOptions()))


async def test_turn_model_decides_where_utterances_end() -> None:
    async with with_turn_model(judge_turns) as shared:
        events = flat(await turns(shared))
    assert events == flat(play(TALK_WITH_PAUSES, [], options=MODEL)) != turns_without_model()


async def test_late_answers_of_the_turn_model_give_the_same_events() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def judge_late(model: object, clips: list[Clip]) -> list[float]:
        asked.set()
        assert go_on.wait(60)
        return judge_turns(model, clips)

    async with with_turn_model(judge_late) as shared:
        running = asyncio.create_task(turns(shared))
        assert await asyncio.to_thread(asked.wait, 60)
        go_on.set()
        assert flat(await running) == flat(play(TALK_WITH_PAUSES, [], options=MODEL))


async def test_default_silence_counts_where_the_turn_model_fails(caplog: pytest.LogCaptureFixture) -> None:
    def fail(model: object, clips: list[Clip]) -> list[float]:
        raise RuntimeError("out of memory")

    async with with_turn_model(fail) as shared:
        assert flat(await turns(shared)) == turns_without_model()
    assert "turn_model.failed error=RuntimeError('out of memory')" in caplog.messages


async def test_default_silence_counts_where_the_turn_model_is_slow(caplog: pytest.LogCaptureFixture) -> None:
    go_on = threading.Event()

    def hang(model: object, clips: list[Clip]) -> list[float]:
        assert go_on.wait(60)
        return judge_turns(model, clips)

    async with with_turn_model(hang) as shared:
        try:
            assert flat(await turns(shared, seconds=0.001)) == turns_without_model()
            assert shared.turn_model is not None
            assert len(shared.turn_model) == 0  # questions that came too late do not wait
        finally:
            go_on.set()
    assert any("TimeoutError" in message for message in caplog.messages)


async def test_default_silence_counts_without_a_turn_model() -> None:
    async with models() as shared:
        assert flat(await turns(shared)) == turns_without_model()


async def test_turn_model_is_asked_again_in_a_replay() -> None:
    async with with_turn_model(judge_turns) as shared:
        begun = RestorePoint(save(Session(MODEL)))
        with StreamDriver(shared, MODEL, begun=begun) as driver:
            await pour(driver, TALK_WITH_PAUSES)
            driver.end(Reason.END_OF_STREAM)
            events = await events_of(driver)
    assert flat(events) == flat(play(TALK_WITH_PAUSES, [], options=MODEL))


async def test_question_of_a_stream_that_is_left_does_not_wait() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def hold(model: object, clips: list[Clip]) -> list[float]:
        asked.set()
        assert go_on.wait(60)
        return judge_turns(model, clips)

    async with with_turn_model(hold) as shared:
        try:
            assert shared.turn_model is not None
            with StreamDriver(shared, MODEL) as first, StreamDriver(shared, MODEL) as second:
                for driver in (first, second):
                    await pour(driver, sound((True, SECOND), (False, SECOND)))
                assert await asyncio.to_thread(asked.wait, 60)
                await until(lambda: len(shared.turn_model or ()) == 1)
            assert len(shared.turn_model) == 0
        finally:
            go_on.set()


def idle_driver(options: SessionOptions, clock: Clock, stall_seconds: float = 30.0) -> StreamDriver:
    """Return a driver of models that do not run."""
    vad: Batcher[DetectorInput, Probabilities] = Batcher(
        ThreadWorker(lambda: None, detect, name="vad"), max_items=9, max_waiting=9, stateless=False
    )
    asr = Batcher(ThreadWorker(lambda: None, transcribe, name="asr"), max_items=9, max_waiting=9)
    return StreamDriver(
        ModelClients(CountingSlots(), vad, asr), options, clock=clock, stall_seconds=stall_seconds
    )


async def test_lag_is_the_spoken_audio_that_waits() -> None:
    clock = Clock()
    with idle_driver(SessionOptions(), clock) as driver:
        assert driver.lag == 0
        clock.now = 10.0  # no lag while the client sends nothing
        assert driver.lag == 0
        driver.receive_audio(Clip(TALK[:SECOND], 0))
        assert driver.lag == 1.0


async def test_audio_ahead_of_the_clock_is_no_lag() -> None:
    clock = Clock()
    with idle_driver(SessionOptions(), clock) as driver:
        driver.receive_audio(Clip(TALK, 0))
        assert driver.lag == 0
        clock.now = 0.5
        assert driver.lag == 0.5


async def test_lag_is_reported_if_wanted_and_the_newest_counts() -> None:
    with (
        idle_driver(SessionOptions(lag=True), Clock()) as asked,
        idle_driver(SessionOptions(), Clock()) as other,
    ):
        for driver in (asked, other):
            for lag_ms in (100, 1000, 1100, 2000, 0):
                driver.report_lag(lag_ms)
        assert await anext(asked.events()) == LagReported(0)
        asked.report_lag(3000)
        assert await anext(asked.events()) == LagReported(3000)
        other.end(Reason.END_OF_STREAM)
        assert [type(event) for event in await events_of(other)] == [StreamClosed]


async def test_client_that_reads_too_few_events_ends_the_stream() -> None:
    clock = Clock()
    with idle_driver(SessionOptions(), clock) as driver:
        events = driver.events()
        for number in range(MAX_EVENTS + 10):
            driver.mark(str(number))
        assert not driver.has_capacity
        waiting = asyncio.create_task(driver.wait_for_capacity())
        await asyncio.sleep(0)
        clock.now += UNREAD_SECONDS + 1
        await anext(events)
        with pytest.raises(EventsUnread, match="1009 events"):
            await waiting


async def test_reading_events_restores_capacity() -> None:
    with idle_driver(SessionOptions(), Clock()) as driver:
        events = driver.events()
        for number in range(MAX_EVENTS):
            driver.mark(str(number))
        waiting = asyncio.create_task(driver.wait_for_capacity())
        await asyncio.sleep(0)
        await anext(events)
        await waiting
        assert driver.has_capacity


# Saved and restored


class CountingDetector(Detector):
    """Detect speech in every other loud part only, so that the state includes their number."""

    def __init__(self) -> None:
        self._memory: dict[int, tuple[int, bool]] = {}  # loud parts so far, and whether one is open

    def step(self, work: list[DetectorInput]) -> list[Probabilities]:
        return [self._judge(item) for item in work]

    def _judge(self, item: DetectorInput) -> Probabilities:
        count, was_loud = self._memory.get(item.slot, (0, False))
        if item.state is not None:
            count, was_loud = int(item.state[0]), bool(item.state[1])
        heard: list[float] = []
        for probability in hear(item.hops) if len(item.hops) else ():
            count += probability > 0.5 and not was_loud
            was_loud = probability > 0.5
            heard.append(probability if count % 2 else 0.02)
        self._memory[item.slot] = count, was_loud
        return np.array(heard if len(item.hops) else [count, was_loud], np.float32)


@dataclass
class Course:
    """Record events, and after how many events and commands the driver was saved."""

    events: list[Event] = field(default_factory=list)
    commands: int = 0
    saved: list[tuple[RestorePoint, int, int]] = field(default_factory=list)


Command = tuple[int, str]  # at a sample
PLAIN = SessionOptions(partials=True, guards=FEW_GUARDS)


async def follow(
    shared: ModelClients,
    samples: Samples,
    commands: Sequence[Command],
    saves: Sequence[int] = (),
    begun: RestorePoint | None = None,
    options: SessionOptions = PLAIN,
) -> Course:
    """Run a stream whose client reads all events.

    begun: where it continues; saves: samples after which it is to be saved, while more audio arrives
    """
    course = Course()
    with StreamDriver(shared, options, begun=begun) as driver:

        async def listen() -> None:
            async for event in driver.events():
                course.events.append(event)

        def keep(snapshot: Snapshot, memory: DetectorState) -> None:
            course.saved.append((RestorePoint(snapshot, memory), len(course.events), course.commands))

        listening = asyncio.create_task(listen())
        chance = random.Random(len(samples))
        at = driver.session.received
        due = sorted([*((place, "save") for place in saves), *commands], key=lambda each: each[0])
        for place, what in [*due, (len(samples), "end")]:
            while at < place:
                end = min(place, at + chance.randint(1, 5_000))
                driver.receive_audio(Clip(samples[at:end], at))
                at = end
                await asyncio.sleep(chance.choice((0, 0, 0.001)))
            if what == "save":
                driver.save(keep)
            elif what == "commit":
                driver.commit()
            elif what == "clear":
                driver.clear()
            elif what == "mark":
                driver.mark(str(place))
            course.commands += what not in ("save", "end")
        driver.end(Reason.END_OF_STREAM)
        await listening
    return course


parts = st.lists(st.integers(1_000, 20_000), min_size=2, max_size=8)  # silence and speech, in turns
places = st.lists(st.floats(0, 1), min_size=2, max_size=6)
asked = st.lists(st.tuples(st.floats(0, 1), st.sampled_from(["commit", "clear", "mark"])), max_size=4)


@examples(25)
@given(parts, asked, places)
def test_saved_and_restored_driver_gives_the_same_events(
    parts: list[int], asked: list[tuple[float, str]], places: list[float]
) -> None:
    samples = sound(*((n % 2 == 1, part) for n, part in enumerate(parts)))
    commands = sorted((int(at * len(samples)), what) for at, what in asked)
    saves = [int(at * len(samples)) for at in places]

    async def check() -> None:
        async with working(detector=CountingDetector()) as shared:
            whole = await follow(shared, samples, commands)
            course = await follow(shared, samples, commands, saves)
            assert flat(course.events) == flat(whole.events)
            for begun, told, said in course.saved:
                rest = await follow(shared, samples, commands[said:], begun=begun)
                assert flat(course.events[:told] + rest.events) == flat(whole.events)

    asyncio.run(check())


async def test_driver_is_saved_once_all_events_are_read() -> None:
    saved: list[Snapshot] = []
    async with models() as shared:
        with StreamDriver(shared, SessionOptions()) as driver:
            await judged(driver, TALK)
            driver.save(lambda snapshot, memory: saved.append(snapshot))
            await judged(driver, sound((False, SECOND)))
            assert saved == []
            listener = asyncio.create_task(events_of(driver))
            await until(lambda: shared.asr.items >= 2)
            await judged(driver, sound((False, SECOND)))
            while not saved:
                await judged(driver, sound((False, 512)))
            driver.end(Reason.END_OF_STREAM)
            await listener
    assert len(saved) == 1  # once for each request
    assert saved[0].state.waiting == ()
    assert saved[0].state.received > len(TALK)


async def test_events_while_the_state_is_read_precede_the_snapshot() -> None:
    saved: list[Snapshot] = []
    async with models() as shared:
        with StreamDriver(shared, SessionOptions(eager=False)) as driver:
            events = driver.events()
            driver.receive_audio(Clip(sound((True, SECOND)), 0))
            assert isinstance(await anext(events), UtteranceStarted)
            await judged(driver, sound((True, 512)))
            waiting = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            driver.save(lambda snapshot, memory: saved.append(snapshot))
            driver.receive_audio(Clip(sound((True, 512)), driver.session.received))
            steps = shared.vad.items
            driver.commit()
            driver.mark("m")
            # The detector was asked for its state, and for the last hop.
            await until(lambda: shared.vad.items > steps + 1)
            assert isinstance(await waiting, UtteranceEnded)
            assert saved == []  # the rest of the events is not taken


async def test_driver_is_not_saved_while_a_command_waits() -> None:
    saved: list[Snapshot] = []
    async with models() as shared:
        with StreamDriver(shared, SessionOptions()) as driver:
            listener = asyncio.create_task(events_of(driver))
            await asyncio.sleep(0)
            driver.receive_audio(Clip(sound((True, SECOND)), 0))
            driver.commit()
            driver.save(lambda snapshot, memory: saved.append(snapshot))
            driver.receive_audio(Clip(sound((True, SECOND)), SECOND))
            await until(lambda: saved)
            driver.end(Reason.END_OF_STREAM)
            await listener
    assert saved[0].state.count >= 1
    assert saved[0].state.ledger.segments == 1


async def test_restored_driver_resumes_pending_work() -> None:
    """A snapshot may hold audio that was not judged, and closed segments without their finals."""
    session = Session(replace(PLAIN, eager=False))
    session.receive_audio(Clip(sound((True, SECOND), (False, SECOND)), 0))
    detect_all(session)
    session.effects.clear()
    more = Clip(sound((True, SECOND), (False, MAX_UNJUDGED)), session.received)
    session.receive_audio(more)
    session.effects.clear()
    snapshot = save(session)
    assert len(snapshot.state.waiting) == 1
    async with models() as shared:
        with StreamDriver(shared, PLAIN, begun=RestorePoint(snapshot)) as driver:
            await driver.wait_for_capacity()
            finals = 0
            async for event in driver.events():
                finals += isinstance(event, FinalTranscript)
                if finals == 2:
                    break


async def recognised_again(keep_results: bool) -> tuple[list[int], list[str], list[str]]:
    """Replay a stream from its beginning; return its batches, its events, and those before the replay."""
    samples, recognizer = TALK, Recognizer()
    beginning = RestorePoint(save(Session(PLAIN)))
    async with working(Recognizer()) as shared:
        whole = await follow(shared, samples, [])
    finals = [event for event in whole.events if isinstance(event, FinalTranscript)]
    told = {final.utterance: RecordedResult(final.hypothesis, final.guard) for final in finals}
    async with working(recognizer) as shared:
        begun = replace(beginning, results=told if keep_results else {})
        again = await follow(shared, samples, [], begun=begun)
    return recognizer.batches, flat(again.events), flat(whole.events)


async def test_sent_final_is_not_recognised_again() -> None:
    batches, again, before = await recognised_again(keep_results=True)
    assert batches == []
    assert again == before


async def test_unsent_final_is_recognised_but_no_partials() -> None:
    batches, again, before = await recognised_again(keep_results=False)
    assert sum(batches) == 2
    assert again == before


async def test_partials_resume_after_the_replay() -> None:
    recognizer = Recognizer()
    async with working(recognizer) as shared:
        with StreamDriver(shared, PLAIN, begun=RestorePoint(save(Session(PLAIN)))) as driver:
            await judged(driver, sound((True, 2 * SECOND)))
            assert recognizer.batches == []
            driver.finish_replay()
            await judged(driver, sound((True, SECOND)))
            await until(lambda: recognizer.partials)


async def test_deciding_eager_task_is_repeated_in_a_replay() -> None:
    options = replace(PLAIN, turn=AdaptiveSilence())
    async with working() as shared:
        whole = await follow(shared, TALK, [], options=options)
    recognizer = Recognizer()
    async with working(recognizer) as shared:
        begun = RestorePoint(save(Session(options)))
        again = await follow(shared, TALK, [], begun=begun, options=options)
    assert flat(again.events) == flat(whole.events)
    assert sum(recognizer.batches) > 0


async def test_replayed_audio_does_not_count_as_ahead_of_the_clock() -> None:
    """Replayed audio arrives as fast as it is read, and a client waits for it."""
    taken: list[BatchedItem] = []
    clock = Clock()
    async with models(on_batch=taken.extend) as shared:
        with StreamDriver(shared, PLAIN, clock=clock, begun=RestorePoint(save(Session(PLAIN)))) as driver:
            await pour(driver, sound((False, SECOND), (True, 6 * SECOND), (False, SECOND)))
            driver.end(Reason.END_OF_STREAM)
            await events_of(driver)
    assert {job.priority for job in taken} == {TaskKind.FINAL}
