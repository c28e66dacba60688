"""Define a worker: it runs a model in a thread or in a process of its own, one batch at a time.

A worker builds the model where it will run. A thread (`batching/threads.py`) is cheap and shares memory. A
process (`batching/process_worker.py`) has a Python lock of its own, so a model that holds the lock
(PocketSphinx does, for a second and more) never blocks the event loop. A process can also be killed: one that
dies, does not answer in time or whose device fails is started again. After the same fault in a thread the
program can only end.
"""

from collections.abc import Callable
from typing import Final, Protocol

from batching.model_process import Item, Result

CLOSE_SECONDS: Final = 10.0  # longest wait for a thread's batch, or for a killed process, to end

Deadline = Callable[[list[Item]], float]  # returns the seconds that a batch may take


def describe_nothing(model: object) -> object:
    """Return None, for a model whose description is not needed."""
    return None


class WorkerObserver(Protocol):
    """Receive changes in the state of a built model, on the event loop."""

    def restarting(self, why: str, /) -> None:
        """Handle that the model's process restarts and the model is unavailable for a while."""
        ...

    def restarted(self) -> None:
        """Handle that the model is available again."""
        ...

    def broken(self, why: str, /) -> None:
        """Handle that the model failed for good: every batch raises ModelBroken from now on."""
        ...


class NullObserver:
    """Ignore all changes."""

    def restarting(self, why: str) -> None:
        pass

    def restarted(self) -> None:
        pass

    def broken(self, why: str) -> None:
        pass


class Worker(Protocol[Item, Result]):
    """Run batches, one at a time.

    description: what `describe` returned for the model, once it is built
    """

    description: object

    async def start(self) -> None:
        """Build the model. Raises whatever building it raises."""
        ...

    async def run(self, items: list[Item], /) -> list[Result]:
        """Return one result for each item, in order.

        Raises what the model raises, ModelDied, DeadlineExceeded or ModelBroken.
        """
        ...

    async def close(self) -> None:
        """Stop using the model; a running batch is abandoned, in a thread after a limited wait."""
        ...
