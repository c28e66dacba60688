"""Runs side by side, and runs that are alone."""

import asyncio
from collections.abc import Callable

from jobs.run_gate import RunGate
from tests.waiting import until


class Runs:
    """Start runs, each of which lasts until it is ended."""

    def __init__(self) -> None:
        self.gate = RunGate()
        self.inside: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, *, alone: bool = False) -> None:
        async def run() -> None:
            async with self.gate.enter(alone=alone):
                self.inside.add(name)
                try:
                    await asyncio.Event().wait()
                finally:
                    self.inside.discard(name)

        self._tasks[name] = asyncio.create_task(run())

    async def end(self, *names: str) -> None:
        for name in names:
            self._tasks[name].cancel()
        await asyncio.gather(*(self._tasks[name] for name in names), return_exceptions=True)

    def are(self, *names: str) -> Callable[[], bool]:
        return lambda: self.inside == set(names)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_run_that_must_be_alone_waits_for_the_others() -> None:
    runs = Runs()
    runs.start("a")
    runs.start("b")
    runs.start("alone", alone=True)
    runs.start("later")
    await settle()
    assert runs.inside == {"a", "b"}
    await runs.end("a")
    await settle()
    assert runs.inside == {"b"}
    await runs.end("b")
    await until(runs.are("alone"))
    await settle()
    assert runs.inside == {"alone"}
    await runs.end("alone")
    await until(runs.are("later"))
    await runs.end("later")


async def test_cancelled_wait_blocks_no_other_run() -> None:
    runs = Runs()
    runs.start("a")
    runs.start("alone", alone=True)
    runs.start("later")
    await settle()
    await runs.end("alone")
    await until(runs.are("a", "later"))
    await runs.end("a", "later")
