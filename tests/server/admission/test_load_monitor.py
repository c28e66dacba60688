"""Test how lag and demand are measured, and that streams get the lag."""

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.clip import SAMPLE_RATE, Clip
from server.admission.load_monitor import DECAY_SECONDS, DemandEstimate, LoadMonitor
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
    """Return streams whose detector does not answer. seconds: audio that each has received"""
    drivers = []
    for each in seconds:
        driver = stack.enter_context(StreamDriver(silent_models(), SessionOptions(lag=True), clock=clock))
        driver.receive_audio(Clip(np.zeros(round(each * SAMPLE_RATE), np.float32), 0))
        drivers.append(driver)
    clock.now += max(seconds, default=0)
    return drivers


async def test_lag_is_that_of_the_slower_part() -> None:
    shedder, clock = LoadShedder(10.0), Clock()
    with ExitStack() as stack:
        drivers = waiting(stack, clock, 3.0, 3.0)
        slow = LoadMonitor(shedder, Load(5.0), lambda: drivers)
        slow.check_streams()
        assert shedder.lag == 5.0
        LoadMonitor(shedder, Load(1.0), lambda: drivers).check_streams()
        assert shedder.lag == 3.0


async def test_lag_of_a_single_stream_is_ignored() -> None:
    shedder, clock = LoadShedder(10.0), Clock()
    with ExitStack() as stack:
        drivers = waiting(stack, clock, 0.1, 9.0, 0.2)
        LoadMonitor(shedder, Load(), lambda: drivers).check_streams()
    assert shedder.lag == 0.2


async def test_without_streams_there_is_no_lag() -> None:
    shedder = LoadShedder(10.0)
    shedder.update(9.0)
    LoadMonitor(shedder, Load(), list).check_streams()
    assert (shedder.lag, shedder.level) == (0.0, ShedLevel.CALM)


async def test_update_reads_the_lag_of_the_recognizers() -> None:
    shedder, load = LoadShedder(10.0), Load()
    monitor = LoadMonitor(shedder, load, list)
    load.lag = 12.0
    monitor.update()
    assert shedder.refusal() is not None


async def test_streams_get_the_lag_periodically() -> None:
    shedder = LoadShedder(10.0)
    with StreamDriver(silent_models(), SessionOptions(lag=True)) as driver:
        running = asyncio.create_task(LoadMonitor(shedder, Load(2.5), lambda: [driver], 0.001).run())
        assert await anext(driver.events()) == LagReported(2500)
        running.cancel()
        await asyncio.wait([running])


async def test_demand_is_learned_once_the_pace_is_known() -> None:
    shedder = LoadShedder(10.0)
    async with running_models() as models:
        with (
            StreamDriver(models, SessionOptions()) as speaker,
            StreamDriver(models, SessionOptions()) as silent,
        ):
            monitor = LoadMonitor(shedder, Load(), lambda: [speaker, silent], check_seconds=1.0)

            async def send_second(loud: bool) -> None:
                for driver in (speaker, silent):
                    start = driver.session.received
                    driver.receive_audio(Clip(sound((loud and driver is speaker, SAMPLE_RATE)), start))
                await until(lambda: speaker.session.is_speaking == loud)
                monitor.check_streams()

            await send_second(loud=True)
            assert shedder.demand == 0
            models.asr.pace = 0.6
            await send_second(loud=True)
            assert shedder.demand == pytest.approx(0.6)
            speaker.clear()
            await send_second(loud=False)
            assert 0 < shedder.demand < 0.6


async def test_streams_that_send_nothing_do_not_count() -> None:
    shedder = LoadShedder(10.0)
    async with running_models() as models:
        models.asr.pace = 0.6
        with (
            StreamDriver(models, SessionOptions()) as speaker,
            StreamDriver(models, SessionOptions()) as gone,
        ):
            drivers = [speaker, gone]
            monitor = LoadMonitor(shedder, Load(), lambda: drivers, check_seconds=1.0)
            for driver in drivers:
                driver.receive_audio(Clip(sound((True, SAMPLE_RATE)), 0))
            await until(lambda: speaker.session.is_speaking and gone.session.is_speaking)
            monitor.check_streams()
            assert shedder.demand == pytest.approx(1.2)
            speaker.receive_audio(Clip(sound((True, SAMPLE_RATE)), SAMPLE_RATE))
            monitor.check_streams()
            assert shedder.demand == pytest.approx(0.6)
            drivers.append(speaker)  # a new stream is expected to need as much as the others
            monitor.update()
            assert shedder.demand == pytest.approx(1.2)


def test_demand_is_zero_before_any_work() -> None:
    demand = DemandEstimate()
    assert demand.share(7) == 0
    demand.learn(1.0, 0, 0.0)
    demand.learn(1.0, 5, 0.0)
    assert demand.share(7) == 0


def test_new_streams_are_expected_to_need_the_mean() -> None:
    demand = DemandEstimate()
    for _ in range(10):
        demand.learn(1.0, 4, 0.4)
    assert demand.share(4) == pytest.approx(0.4)
    assert demand.share(40) == pytest.approx(4.0)


def test_old_observations_have_little_weight() -> None:
    demand = DemandEstimate()
    demand.learn(1.0, 1, 1.0)
    for _ in range(round(5 * DECAY_SECONDS)):
        demand.learn(1.0, 1, 0.1)
    assert demand.share(1) == pytest.approx(0.1, rel=0.01)


@given(st.lists(st.tuples(st.floats(0.01, 10), st.integers(0, 100), st.floats(0, 10)), max_size=50))
def test_demand_is_never_negative_and_zero_without_streams(
    course: list[tuple[float, int, float]],
) -> None:
    demand = DemandEstimate()
    for seconds, streams, work in course:
        demand.learn(seconds, streams, work)
        assert demand.share(streams) >= 0
    assert demand.share(0) == 0
