"""Run a model in a child process, from its start to its end."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
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
LOWEST_NICENESS: Final = 19
STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def lower_priority() -> None:
    """Lower this thread's priority, so that the event loop runs first on a shared core.

    Does nothing except on Linux, where a priority can apply to one thread.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def run_in_background() -> None:
    """Let this process and the threads that it will start run only on cores that nothing else needs.

    Where the system has no such class (it is Linux's SCHED_IDLE), take the lowest priority that it has.
    """
    if sys.platform == "linux":
        with suppress(OSError):  # forbidden in some containers
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            return
    if sys.platform != "win32":
        os.setpriority(os.PRIO_PROCESS, 0, LOWEST_NICENESS)


class ModelProcess(Generic[Model, Item, Result]):
    """Start a process that builds a model, and run batches in it.

    The calls block and must come from one thread, except `kill` and `wait`, which may come from any.
    """

    def __init__(
        self,
        build: Build[Model],
        call: Call[Model, Item, Result],
        describe: Describe[Model],
        name: str,
    ) -> None:
        # spawn, not fork: a forked process with threads and a CUDA context will crash.
        context = multiprocessing.get_context("spawn")
        self._pipe: Connection[Any, Any]
        self._pipe, self._child_pipe = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(self._child_pipe, build, call, describe), name=name, daemon=True
        )
        self._name = name
        self._killed = False

    @property
    def pid(self) -> int | None:
        """Process id, once it was started."""
        return self._process.pid

    def start(self) -> object:
        """Build the model and return its description. Raises what building it raises, or ModelDied."""
        with _signals_blocked():  # The child inherits this until it ignores them.
            self._process.start()
        self._child_pipe.close()
        if self._killed:  # before it was started
            self._process.kill()
        return self._receive("loaded its model")

    def run(self, items: list[Item]) -> list[Result]:
        """Run a batch. Raises what the model raises, or ModelDied."""
        try:
            self._pipe.send(items)
        except ConnectionError as cause:
            raise ModelDied(f"the process of {self._name} is dead") from cause
        results: list[Result] = self._receive("ran a batch")
        return results

    def wait(self) -> None:
        """Wait until the process ends. Must come after `start`."""
        wait([self._process.sentinel])

    def kill(self) -> None:
        """Kill the process, also one that is only about to start."""
        self._killed = True
        if self._process.pid is not None:
            self._process.kill()

    def reap(self) -> None:
        """Release the resources of a process that was killed."""
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
    """Build the model, then run batches until the pipe closes: the main function of the process."""
    # Ctrl-C and service managers signal all processes: the parent handles it, and still needs finals.
    for stop in STOP_SIGNALS:
        signal.signal(stop, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    lower_priority()
    with suppress(EOFError, ConnectionError):  # the parent ended
        try:
            model = build()
            description = describe(model)
        except Exception as error:
            pipe.send((True, error))
            return
        pipe.send((False, description))
        while True:
            pipe.send(_answer(model, call, pipe.recv()))


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block the signals that stop a program in this thread, and so in a process that it starts."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # The first start of a process would start the tracker, and that would unblock the signals.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _answer(model: Model, call: Call[Model, Item, Result], items: list[Item]) -> tuple[bool, Any]:
    try:
        return False, call(model, items)
    except Exception as error:
        return True, error
