"""SIGUSR1 loads the recognizers again; tests/engine/test_engine.py does it to a whole server."""

import asyncio
import signal
import threading

import pytest

from server.reload import reloaded_on_signal

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="Windows has none")


class Reload:
    """Counts, and waits for its gate."""

    def __init__(self) -> None:
        self.begun = 0
        self.done = 0
        self.gate = asyncio.Event()

    async def __call__(self) -> None:
        self.begun += 1
        await self.gate.wait()
        self.done += 1


async def until_begun(reload: Reload, times: int) -> None:
    while reload.begun < times:
        await asyncio.sleep(0.001)


async def test_each_signal_reloads_but_not_while_it_is_being_done() -> None:
    reload = Reload()
    async with reloaded_on_signal(reload):
        signal.raise_signal(signal.SIGUSR1)
        await until_begun(reload, 1)
        signal.raise_signal(signal.SIGUSR1)
        await asyncio.sleep(0.01)
        assert reload.begun == 1
        reload.gate.set()
        while not reload.done:
            await asyncio.sleep(0.001)
        signal.raise_signal(signal.SIGUSR1)
        await until_begun(reload, 2)


async def test_leaving_ends_what_is_under_way_and_gives_the_signal_back() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    reload = Reload()
    async with reloaded_on_signal(reload):
        signal.raise_signal(signal.SIGUSR1)
        await until_begun(reload, 1)
    reload.gate.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert reload.done == 0
    assert signal.getsignal(signal.SIGUSR1) == before


def test_outside_the_main_thread_it_does_nothing() -> None:
    async def within() -> None:
        async with reloaded_on_signal(Reload()):
            pass

    failures: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(within())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert failures == []
