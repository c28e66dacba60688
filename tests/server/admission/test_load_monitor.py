"""The steward: how far behind recognition is found to be, and who hears of it."""

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.clip import SAMPLE_RATE, Clip
from server.admission.load_monitor import MEMORY, DemandEstimate, LoadMonitor
from server.admission.load_shedding import LoadShedder, ShedLevel
from streaming.driver import StreamDriver
from streaming.events import LagReported
from streaming.options import SessionOptions
from tests.server.admission.test_ip_rate_limit import Clock
from tests.server.fakes import running_models, silent_models
from tests.streaming.fakes import sound
from tests.waiting import until


@dataclass
class Load:
    lag: float = 0.0


def waiting(stack: ExitStack, clock: Clock, *seconds: float) -> list[StreamDriver]:
    """Streams whose detector does not answer, each with so much sound that was spoken."""
    pumps = []
    for each in seconds:
        pump = stack.enter_context(StreamDriver(silent_models(), SessionOptions(lag=True), clock=clock))
        pump.receive_audio(Clip(np.zeros(round(each * SAMPLE_RATE), np.float32), 0))
        pumps.append(pump)
    clock.now += max(seconds, default=0)
    return pumps


async def test_recognition_is_as_far_behind_as_its_slowest_part() -> None:
    overload, clock = LoadShedder(10.0), Clock()
    with ExitStack() as stack:
        pumps = waiting(stack, clock, 3.0, 3.0)
        slow = LoadMonitor(overload, Load(5.0), lambda: pumps)
        slow.look_at_streams()
        assert overload.lag == 5.0
        LoadMonitor(overload, Load(1.0), lambda: pumps).look_at_streams()
        assert overload.lag == 3.0


async def test_what_one_stream_alone_waits_for_is_no_lag_of_the_servers() -> None:
    overload, clock = LoadShedder(10.0), Clock()
    with ExitStack() as stack:
        pumps = waiting(stack, clock, 0.1, 9.0, 0.2)
        LoadMonitor(overload, Load(), lambda: pumps).look_at_streams()
    assert overload.lag == 0.2


async def test_without_streams_nothing_is_behind() -> None:
    overload = LoadShedder(10.0)
    overload.update(9.0)
    LoadMonitor(overload, Load(), list).look_at_streams()
    assert (overload.lag, overload.step) == (0.0, ShedLevel.CALM)


async def test_at_a_handshake_the_recognizers_are_looked_at_anew() -> None:
    overload, load = LoadShedder(10.0), Load()
    steward = LoadMonitor(overload, load, list)
    load.lag = 12.0
    steward.look()
    assert overload.refusal() is not None


async def test_streams_hear_of_it_again_and_again() -> None:
    overload = LoadShedder(10.0)
    with StreamDriver(silent_models(), SessionOptions(lag=True)) as pump:
        running = asyncio.create_task(LoadMonitor(overload, Load(2.5), lambda: [pump], 0.001).run())
        assert await anext(pump.events()) == LagReported(2500)
        running.cancel()
        await asyncio.wait([running])


async def test_what_those_who_speak_will_ask_for_is_learned_once_it_is_known_what_that_costs() -> None:
    overload = LoadShedder(10.0)
    async with running_models() as models:
        with (
            StreamDriver(models, SessionOptions()) as speaker,
            StreamDriver(models, SessionOptions()) as silent,
        ):
            steward = LoadMonitor(overload, Load(), lambda: [speaker, silent], look_seconds=1.0)

            async def look_after(loud: bool) -> None:
                for pump in (speaker, silent):
                    start = pump.session.received
                    pump.receive_audio(Clip(sound((loud and pump is speaker, SAMPLE_RATE)), start))
                await until(lambda: speaker.session.is_speaking == loud)
                steward.look_at_streams()

            await look_after(loud=True)
            assert overload.demand == 0
            models.asr.pace = 0.6
            await look_after(loud=True)
            assert overload.demand == pytest.approx(0.6)
            speaker.clear()
            await look_after(loud=False)
            assert 0 < overload.demand < 0.6


async def test_who_says_nothing_more_asks_for_nothing_and_says_nothing_of_the_others() -> None:
    overload = LoadShedder(10.0)
    async with running_models() as models:
        models.asr.pace = 0.6
        with (
            StreamDriver(models, SessionOptions()) as speaker,
            StreamDriver(models, SessionOptions()) as gone,
        ):
            pumps = [speaker, gone]
            steward = LoadMonitor(overload, Load(), lambda: pumps, look_seconds=1.0)
            for pump in pumps:
                pump.receive_audio(Clip(sound((True, SAMPLE_RATE)), 0))
            await until(lambda: speaker.session.is_speaking and gone.session.is_speaking)
            steward.look_at_streams()
            assert overload.demand == pytest.approx(1.2)
            speaker.receive_audio(Clip(sound((True, SAMPLE_RATE)), SAMPLE_RATE))
            steward.look_at_streams()
            assert overload.demand == pytest.approx(0.6)
            pumps.append(speaker)  # who has just come is expected to do as the others
            steward.look()
            assert overload.demand == pytest.approx(1.2)


def test_before_anything_was_asked_for_nothing_is_needed() -> None:
    demand = DemandEstimate()
    assert demand.share(7) == 0
    demand.learn(1.0, 0, 0.0)
    demand.learn(1.0, 5, 0.0)
    assert demand.share(7) == 0


def test_streams_that_have_just_come_are_expected_to_need_what_the_others_do() -> None:
    demand = DemandEstimate()
    for _ in range(10):
        demand.learn(1.0, 4, 0.4)
    assert demand.share(4) == pytest.approx(0.4)
    assert demand.share(40) == pytest.approx(4.0)


def test_what_was_learned_long_ago_counts_little() -> None:
    demand = DemandEstimate()
    demand.learn(1.0, 1, 1.0)
    for _ in range(round(5 * MEMORY)):
        demand.learn(1.0, 1, 0.1)
    assert demand.share(1) == pytest.approx(0.1, rel=0.01)


@given(st.lists(st.tuples(st.floats(0.01, 10), st.integers(0, 100), st.floats(0, 10)), max_size=50))
def test_it_is_never_less_than_nothing_and_nothing_without_streams(
    course: list[tuple[float, int, float]],
) -> None:
    demand = DemandEstimate()
    for seconds, streams, work in course:
        demand.learn(seconds, streams, work)
        assert demand.share(streams) >= 0
    assert demand.share(0) == 0
