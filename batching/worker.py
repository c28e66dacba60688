"""Where a model lives: a thread of its own, or a process of its own.

A worker builds the model where it will run, and runs one batch at a time. A thread is cheap and shares
memory; a process keeps Python's lock to itself, so that a model which holds it (PocketSphinx does, for a
second and more) never stops the event loop.
"""

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any, Final, Generic, Protocol, TypeVar

from batching.errors import ModelDied

Model = TypeVar("Model")
Item = TypeVar("Item")
Result = TypeVar("Result")

Build = Callable[[], Model]
Call = Callable[[Model, list[Item]], list[Result]]
Describe = Callable[[Model], object]


NICENESS: Final = 5


def _nothing(model: object) -> object:
    return None


def _step_back() -> None:
    """Lets the event loop go first on a core that they share; only Linux can say so of one thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class Worker(Protocol[Item, Result]):
    """Runs batches, one at a time. description: what `describe` said of the model, once it is built."""

    description: object

    async def start(self) -> None:
        """Builds the model. Raises whatever building it raises."""
        ...

    async def run(self, items: list[Item], /) -> list[Result]:
        """One result per item, in order. Raises what the model raises, or ModelDied."""
        ...

    async def close(self) -> None:
        """Gives the model up; a batch under way in a process is abandoned, in a thread awaited."""
        ...


class ThreadWorker(Generic[Model, Item, Result]):
    """A model in a thread of its own."""

    def __init__(
        self,
        build: Build[Model],
        call: Call[Model, Item, Result],
        *,
        name: str,
        describe: Describe[Model] = _nothing,
    ) -> None:
        self.description: object = None
        self._build = build
        self._call = call
        self._describe = describe
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name, initializer=_step_back)
        self.model: Model

    async def start(self) -> None:
        self.model = await asyncio.get_running_loop().run_in_executor(self._thread, self._build)
        self.description = self._describe(self.model)

    async def run(self, items: list[Item]) -> list[Result]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._call, self.model, items)

    async def close(self) -> None:
        await asyncio.to_thread(self._thread.shutdown)


class ProcessWorker(Generic[Model, Item, Result]):
    """A model in a process of its own. `build`, `call`, `describe` and what they take and give are picklable.

    A process that dies in the middle of a batch is started again and the batch tried once more.
    """

    def __init__(
        self,
        build: Build[Model],
        call: Call[Model, Item, Result],
        *,
        name: str,
        describe: Describe[Model] = _nothing,
    ) -> None:
        self.description: object = None
        self._build = build
        self._call = call
        self._describe = describe
        self._name = name
        # Talks to the process: the pipe's calls block, so they stand in a thread.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"{name}-pipe")
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection[Any, Any]
        self._closing = False
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._spawn)

    async def run(self, items: list[Item]) -> list[Result]:
        loop = asyncio.get_running_loop()
        results: list[Result] = await loop.run_in_executor(self._thread, self._run_with_one_retry, items)
        return results

    async def close(self) -> None:
        self._closing = True
        if self._process is not None:
            self._process.kill()
        await asyncio.to_thread(self._thread.shutdown)
        if self._process is not None:
            self._process.join()
            self._pipe.close()

    def _run_with_one_retry(self, items: list[Item]) -> Any:
        try:
            return self._exchange(items)
        except (EOFError, ConnectionError):
            self._respawn()
        try:
            return self._exchange(items)
        except (EOFError, ConnectionError) as cause:
            self._respawn()
            raise ModelDied(f"the process of {self._name} died twice over one batch") from cause

    def _respawn(self) -> None:
        if self._closing:
            raise ModelDied(f"the process of {self._name} was closed")
        self.restarts += 1
        self._spawn()

    def _spawn(self) -> None:
        # spawn, not fork: a fork of a process with threads and a CUDA context is a crash to come.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        process = context.Process(
            target=_serve,
            args=(theirs, self._build, self._call, self._describe),
            name=self._name,
            daemon=True,
        )
        process.start()
        self._process = process
        theirs.close()
        if self._closing:  # close came while this thread was starting it
            process.kill()
        try:
            self.description = self._receive()
        except (EOFError, ConnectionError) as cause:
            raise ModelDied(f"the process of {self._name} died while it loaded its model") from cause

    def _exchange(self, items: list[Item]) -> Any:
        self._pipe.send(items)
        return self._receive()

    def _receive(self) -> Any:
        failed, value = self._pipe.recv()
        if failed:
            raise value
        return value


def _serve(
    pipe: "Connection[Any, Any]",
    build: Build[Model],
    call: Call[Model, Item, Result],
    describe: Describe[Model],
) -> None:
    """The process's whole life: build, then answer batch after batch until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which still wants finals from us
    _step_back()
    try:
        model = build()
        description = describe(model)
    except Exception as error:
        pipe.send((True, error))
        return
    pipe.send((False, description))
    while True:
        try:
            items = pipe.recv()
        except EOFError:
            return  # the parent is gone
        pipe.send(_answer(model, call, items))


def _answer(model: Model, call: Call[Model, Item, Result], items: list[Item]) -> tuple[bool, Any]:
    try:
        return False, call(model, items)
    except Exception as error:
        return True, error
