"""Admission: the bound on live streams, and the end of all of them."""

import asyncio
from collections.abc import Callable

import pytest

from server.admission.controller import AdmissionController
from server.admission.retry_after import UNKNOWN
from server.auth.api_keys import CALLER, ApiKey, Principal
from server.errors import ClientError
from streaming.driver import StreamDriver
from streaming.options import SessionOptions
from tests.server.fakes import silent_models
from tests.waiting import until

NEVER = 3600.0  # seconds


class Stream:
    """Lives until it is asked to stop, or for good if it is deaf."""

    def __init__(self, deaf: bool = False) -> None:
        self.stops = 0
        self._deaf = deaf
        self._asked = asyncio.Event()

    def stop(self) -> None:
        self.stops += 1
        if not self._deaf:
            self._asked.set()

    async def live(self, admission: AdmissionController) -> None:
        with admission.admit(self.stop):
            await self._asked.wait()


@pytest.fixture
def admission() -> AdmissionController:
    return AdmissionController(2)


async def begin(admission: AdmissionController, *streams: Stream) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(stream.live(admission)) for stream in streams]
    await until(lambda: len(admission) >= len(streams))
    return tasks


async def test_no_more_are_admitted_than_there_is_room_for(admission: AdmissionController) -> None:
    one, two = await begin(admission, Stream(), Stream())
    with pytest.raises(ClientError, match="2 sessions are open") as refused, admission.admit(print):
        pass
    assert (refused.value.code, refused.value.close) == ("server_overloaded", 1013)
    for task in (one, two):
        task.cancel()
    await asyncio.gather(one, two, return_exceptions=True)
    assert len(admission) == 0
    assert admission.refusal() is None


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, KeyboardInterrupt])
async def test_a_stream_that_fails_makes_room_all_the_same(
    admission: AdmissionController, error: type[BaseException]
) -> None:
    with pytest.raises(error), admission.admit(print):
        raise error
    assert len(admission) == 0


async def test_draining_stops_every_stream_once_and_waits_for_them(admission: AdmissionController) -> None:
    streams = Stream(), Stream()
    tasks = await begin(admission, *streams)
    await admission.drain(NEVER)
    assert [stream.stops for stream in streams] == [1, 1]
    await asyncio.gather(*tasks)


async def test_nobody_is_admitted_while_it_drains(admission: AdmissionController) -> None:
    (task,) = await begin(admission, Stream(deaf=True))
    draining = asyncio.create_task(admission.drain(NEVER))
    await until(lambda: admission.draining)
    with pytest.raises(ClientError) as refused, admission.admit(print):
        pass
    assert (refused.value.code, refused.value.close) == ("server_restarting", 1012)
    task.cancel()
    await draining


async def test_a_stream_that_does_not_end_in_time_is_cancelled(admission: AdmissionController) -> None:
    deaf, good = await begin(admission, Stream(deaf=True), Stream())
    await admission.drain(0.01)
    await asyncio.wait([deaf, good])
    assert deaf.cancelled()
    assert good.exception() is None


async def test_a_drain_that_is_cancelled_waits_for_nobody(admission: AdmissionController) -> None:
    (deaf,) = await begin(admission, Stream(deaf=True))
    draining = asyncio.create_task(admission.drain(NEVER))
    await until(lambda: admission.draining)
    await asyncio.sleep(0)
    draining.cancel()
    await asyncio.wait([draining, deaf])
    assert draining.cancelled()
    assert deaf.cancelled()


async def test_an_empty_server_drains_at_once_and_may_drain_again(admission: AdmissionController) -> None:
    await admission.drain(NEVER)
    await admission.drain(0)
    assert admission.draining


async def test_a_stream_that_ends_while_others_are_stopped_is_no_trouble(
    admission: AdmissionController,
) -> None:
    stops: list[Callable[[], None]] = []
    second = Stream()

    async def leaves_at_once() -> None:
        with admission.admit(stops.clear):
            await asyncio.sleep(0)

    tasks = await begin(admission, second)
    await asyncio.gather(leaves_at_once(), admission.drain(NEVER), *tasks)
    assert second.stops == 1


def test_what_is_bounded_is_called_by_its_name() -> None:
    refusal = AdmissionController(0, "files").refusal()
    assert refusal is not None
    assert "0 files are open" in refusal.message


def test_who_is_refused_hears_when_a_place_is_likely() -> None:
    refusal = AdmissionController(0).refusal()
    assert refusal is not None
    assert refusal.retry_after == UNKNOWN


async def test_a_check_asks_for_limits_and_for_a_place_but_who_comes_back_has_one() -> None:
    full = AdmissionController(0)
    scope = {"client": ("192.0.2.1", 4711)}
    with pytest.raises(ClientError, match="0 sessions are open"):
        full.check(scope)
    full.check(scope, comes_back=True)
    key = Principal(ApiKey("ann", b"", max_sessions=0))
    with pytest.raises(ClientError) as refused:
        AdmissionController(1).check(scope | {CALLER: key})
    assert refused.value.code == "session_limit_reached"


async def test_the_pumps_are_those_of_the_streams_that_live(admission: AdmissionController) -> None:
    pump = StreamDriver(silent_models(), SessionOptions())
    with admission.admit(print, pump), admission.admit(Stream().stop):
        assert admission.pumps == [pump]
    assert admission.pumps == []
