"""Test the limit on open streams, and draining them."""

import asyncio
from collections.abc import Callable

import pytest

from server.admission.controller import AdmissionController
from server.admission.retry_after import DEFAULT_SECONDS
from server.auth.api_keys import CALLER, ApiKey, Principal
from server.errors import ClientError
from streaming.driver import StreamDriver
from streaming.multichannel import MultichannelStream
from streaming.options import SessionOptions
from tests.server.fakes import silent_models
from tests.waiting import until

NEVER = 3600.0  # seconds


class Stream:
    """Run until `stop` is called. stuck: run until cancelled"""

    def __init__(self, stuck: bool = False) -> None:
        self.stops = 0
        self._stuck = stuck
        self._asked = asyncio.Event()

    def stop(self) -> None:
        self.stops += 1
        if not self._stuck:
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


async def test_streams_beyond_the_limit_are_refused(admission: AdmissionController) -> None:
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
async def test_failed_stream_is_no_longer_counted(
    admission: AdmissionController, error: type[BaseException]
) -> None:
    with pytest.raises(error), admission.admit(print):
        raise error
    assert len(admission) == 0


async def test_draining_stops_each_stream_once_and_waits(admission: AdmissionController) -> None:
    streams = Stream(), Stream()
    tasks = await begin(admission, *streams)
    await admission.drain(NEVER)
    assert [stream.stops for stream in streams] == [1, 1]
    await asyncio.gather(*tasks)


async def test_no_stream_is_admitted_while_draining(admission: AdmissionController) -> None:
    (task,) = await begin(admission, Stream(stuck=True))
    draining = asyncio.create_task(admission.drain(NEVER))
    await until(lambda: admission.draining)
    with pytest.raises(ClientError) as refused, admission.admit(print):
        pass
    assert (refused.value.code, refused.value.close) == ("server_restarting", 1012)
    task.cancel()
    await draining


async def test_stream_that_does_not_end_in_time_is_cancelled(admission: AdmissionController) -> None:
    stuck, good = await begin(admission, Stream(stuck=True), Stream())
    await admission.drain(0.01)
    await asyncio.wait([stuck, good])
    assert stuck.cancelled()
    assert good.exception() is None


async def test_cancelled_drain_cancels_the_streams(admission: AdmissionController) -> None:
    (stuck,) = await begin(admission, Stream(stuck=True))
    draining = asyncio.create_task(admission.drain(NEVER))
    await until(lambda: admission.draining)
    await asyncio.sleep(0)
    draining.cancel()
    await asyncio.wait([draining, stuck])
    assert draining.cancelled()
    assert stuck.cancelled()


async def test_empty_server_drains_at_once_and_again(admission: AdmissionController) -> None:
    await admission.drain(NEVER)
    await admission.drain(0)
    assert admission.draining


async def test_stream_may_end_while_others_are_stopped(
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


def test_refusal_names_what_is_limited() -> None:
    refusal = AdmissionController(0, "files").refusal()
    assert refusal is not None
    assert "0 files are open" in refusal.message


def test_refusal_has_a_retry_after() -> None:
    refusal = AdmissionController(0).refusal()
    assert refusal is not None
    assert refusal.retry_after == DEFAULT_SECONDS


async def test_check_covers_policy_and_limit_except_for_resuming() -> None:
    full = AdmissionController(0)
    scope = {"client": ("192.0.2.1", 4711)}
    with pytest.raises(ClientError, match="0 sessions are open"):
        full.check(scope)
    full.check(scope, resuming=True)
    key = Principal(ApiKey("ann", b"", max_sessions=0))
    with pytest.raises(ClientError) as refused:
        AdmissionController(1).check(scope | {CALLER: key})
    assert refused.value.code == "session_limit_reached"


async def test_drivers_are_those_of_the_open_streams(admission: AdmissionController) -> None:
    driver = StreamDriver(silent_models(), SessionOptions())
    with admission.admit(print, [driver]), admission.admit(Stream().stop):
        assert admission.drivers == [driver]
    assert admission.drivers == []


async def test_each_channel_takes_the_place_of_a_stream() -> None:
    admission = AdmissionController(3)
    stereo = MultichannelStream(silent_models(), SessionOptions(), "s", 2)
    with admission.admit(print, stereo.channels):
        assert admission.drivers == list(stereo.channels)
        assert len(admission) == 1
        with (
            pytest.raises(
                ClientError, match="2 channels need as many places for sessions; 1 are free"
            ) as refused,
            admission.admit(print, stereo.channels),
        ):
            pass
        assert refused.value.code == "server_overloaded"
        with admission.admit(print), pytest.raises(ClientError, match="3 sessions are open"):
            admission.check({})
    with admission.admit(print, stereo.channels), admission.admit(print):
        pass
