"""Child: one life of a process with a model in it."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any, Final, Generic, TypeVar

from batching.errors import ModelDied

Model = TypeVar("Model")
Item = TypeVar("Item")
Result = TypeVar("Result")

Build = Callable[[], Model]
Call = Callable[[Model, list[Item]], list[Result]]
Describe = Callable[[Model], object]

NICENESS: Final = 5


def lower_priority() -> None:
    """Lets the event loop go first on a core that they share; only Linux can say so of one thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class ModelProcess(Generic[Model, Item, Result]):
    """Its calls block, and belong to one thread, but for `kill` and `wait`, which belong to any."""

    def __init__(
        self,
        build: Build[Model],
        call: Call[Model, Item, Result],
        describe: Describe[Model],
        name: str,
    ) -> None:
        # spawn, not fork: a fork of a process with threads and a CUDA context is a crash to come.
        context = multiprocessing.get_context("spawn")
        self._pipe: Connection[Any, Any]
        self._pipe, self._theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(self._theirs, build, call, describe), name=name, daemon=True
        )
        self._name = name
        self._killed = False

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def start(self) -> object:
        """Builds the model. What it is described as; raises what building it raises, or ModelDied."""
        self._process.start()
        self._theirs.close()
        if self._killed:  # meanwhile
            self._process.kill()
        return self._receive("loaded its model")

    def run(self, items: list[Item]) -> list[Result]:
        """Raises what the model raises, or ModelDied."""
        try:
            self._pipe.send(items)
        except ConnectionError as cause:
            raise ModelDied(f"the process of {self._name} is dead") from cause
        results: list[Result] = self._receive("ran a batch")
        return results

    def wait(self) -> None:
        """Until the process ends. Once it was started."""
        wait([self._process.sentinel])

    def kill(self) -> None:
        self._killed = True
        if self._process.pid is not None:
            self._process.kill()

    def reap(self) -> None:
        """What is left of one that was killed."""
        self._pipe.close()
        if self._process.pid is not None:
            self._process.join()

    def _receive(self, doing: str) -> Any:
        try:
            failed, value = self._pipe.recv()
        except (EOFError, ConnectionError) as cause:
            raise ModelDied(f"the process of {self._name} died while it {doing}") from cause
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
    lower_priority()
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
