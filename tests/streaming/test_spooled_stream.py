"""Test streams whose audio waits on disk because recognition is slow."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from asr.recognizer import Hypothesis, RecognitionRequest
from audio.clip import Clip, Samples
from streaming.driver import MAX_UNJUDGED, MAX_UNRECOGNISED, StreamDriver
from streaming.endpointing import AdaptiveSilence
from streaming.errors import SpoolFull
from streaming.events import Event, FinalTranscript, StreamClosed
from streaming.model_clients import ModelClients
from streaming.options import SessionOptions
from streaming.spool import Spool
from streaming.utterance import Utterance
from tests.server.fakes import running_models
from tests.streaming.fakes import CONTINUING, flat, play, sound, transcribe
from tests.waiting import until
from vad.segmenter import Reason

SECOND = 16_000
FIXED = CONTINUING
ADAPTIVE = replace(FIXED, turn=AdaptiveSilence(shortest=SECOND // 5, longest=SECOND))
MINUTES = 1.0
# Four minutes, in which three of four seconds are speech.
TALK = sound(*[(True, 3 * SECOND), (False, SECOND)] * 60)


class Gate:
    """Hold the recognizer until it is opened; then it answers at once."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    def transcribe(self, recognizer: object, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        assert self.opened.wait(60)
        return transcribe(recognizer, requests)


@asynccontextmanager
async def held_models(gate: Gate, folder: Path, minutes: float) -> AsyncIterator[ModelClients]:
    spool = Spool(minutes, folder)
    async with running_models(transcribe=gate.transcribe) as models:
        try:
            yield replace(models, spool=spool)
        finally:
            gate.opened.set()
            spool.close()


def paced(models: ModelClients, options: SessionOptions) -> StreamDriver:
    """Return a stream whose client has had time to speak all that it sends."""
    return StreamDriver(models, options, clock=lambda: 1e6, connected=0.0)


async def pour(driver: StreamDriver, samples: Samples) -> None:
    """Send audio as a reader does, but let the detector keep pace unless judging waits for a text."""
    for start in range(0, len(samples), 1600):
        await driver.wait_for_capacity()
        driver.receive_audio(Clip(samples[start : start + 1600], start))
        await until(lambda: driver.session.unjudged < SECOND or driver.session.waits_for_text)


async def events_of(driver: StreamDriver) -> list[Event]:
    return [event async for event in driver.events()]


def in_memory(driver: StreamDriver) -> int:
    """Return how many samples of closed segments are in memory."""
    waiting = driver.session.results.waiting
    closed = [each for each in waiting if isinstance(each, Utterance) and each.clip is not None]
    sounds = [samples for each in closed if each.clip for samples in (each.pause, each.clip.samples)]
    return sum(len(samples) for samples in sounds if samples.flags.writeable)


@pytest.mark.parametrize("options", [FIXED, ADAPTIVE])
async def test_audio_that_waits_on_disk_gives_the_same_events(
    options: SessionOptions, tmp_path: Path
) -> None:
    gate = Gate()
    async with held_models(gate, tmp_path, 10.0) as models:
        with paced(models, options) as driver:
            async with asyncio.timeout(60):
                await pour(driver, TALK)
                driver.end(Reason.END_OF_STREAM)
                gate.opened.set()
                events = await events_of(driver)
    assert flat(events) == flat(play(TALK, [], options=options))


async def test_memory_holds_a_minute_of_closed_segments(tmp_path: Path) -> None:
    gate = Gate()
    async with held_models(gate, tmp_path, 10.0) as models:
        with paced(models, FIXED) as driver:
            await pour(driver, TALK)
            await until(lambda: in_memory(driver) < MAX_UNRECOGNISED + 4 * SECOND)
            assert driver.session.unrecognised > 2 * MAX_UNRECOGNISED
            assert not os.listdir(tmp_path)  # the files have no names


async def test_memory_holds_little_audio_that_waits_for_a_text(tmp_path: Path) -> None:
    gate = Gate()
    async with held_models(gate, tmp_path, 10.0) as models:
        with paced(models, ADAPTIVE) as driver:
            await pour(driver, TALK)
            audio = driver.session.audio
            assert driver.session.unjudged > 4 * MAX_UNJUDGED
            await until(
                lambda: sum(len(each) for each in audio._chunks if each.flags.writeable) < 2 * MAX_UNJUDGED
            )


async def test_stream_at_the_pace_of_speech_ends_when_the_spool_is_full(tmp_path: Path) -> None:
    gate = Gate()
    async with held_models(gate, tmp_path, MINUTES) as models:
        with paced(models, FIXED) as driver:
            with pytest.raises(SpoolFull, match="2 minutes of audio wait"):
                await pour(driver, TALK)
            assert driver.session.unrecognised + driver.session.unjudged >= MAX_UNRECOGNISED + 60 * SECOND
            driver.end(Reason.END_OF_STREAM)
            gate.opened.set()
            events = await events_of(driver)
    assert isinstance(events[-1], StreamClosed)
    assert flat(events) == flat(play(TALK[: events[-1].received], [], options=FIXED))


async def test_faster_stream_waits_when_the_spool_is_full(tmp_path: Path) -> None:
    gate = Gate()
    async with held_models(gate, tmp_path, MINUTES) as models:
        with StreamDriver(models, FIXED, clock=lambda: 0.0) as driver:
            pouring = asyncio.create_task(pour(driver, TALK))
            await until(lambda: not driver.has_capacity and driver.session.unrecognised > 110 * SECOND)
            await asyncio.wait([pouring], timeout=0.05)
            assert not pouring.done()
            gate.opened.set()
            reading = asyncio.create_task(events_of(driver))
            await pouring
            driver.end(Reason.END_OF_STREAM)
            assert sum(isinstance(event, FinalTranscript) for event in await reading) == 60


async def test_failed_disk_ends_the_stream_with_its_reason(tmp_path: Path) -> None:
    gate = Gate()
    async with held_models(gate, tmp_path / "missing", 10.0) as models:
        with paced(models, FIXED) as driver:
            with pytest.raises(SpoolFull, match="No such file"):
                await pour(driver, TALK)
            driver.end(Reason.END_OF_STREAM)
            gate.opened.set()
            events = await events_of(driver)
    assert flat(events) == flat(play(TALK[: driver.received], [], options=FIXED))
