"""Track a recognizer from loading to unloading, and the recognizers that serve a name over time."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from asr.recognizer import Hypothesis, ModelInfo, RecognitionRequest
from batching.batcher import Batcher
from engine.memory_budget import Reservation
from engine.supervisor import Supervisor

Asr = Batcher[RecognitionRequest, Hypothesis]


class ModelState(StrEnum):
    """The state of a name, as /ready reports it."""

    ABSENT = "absent"
    LOADING = "loading"
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RunningModel:
    """Hold a loaded recognizer and its description."""

    asr: Asr
    description: ModelInfo


class ModelHandle:
    """Track one recognizer from loading to unloading.

    running: the recognizer once it is loaded
    error: why loading failed
    load_ended: set when it is loaded or has failed
    unload_requested: set when it is to be unloaded
    task: loads the recognizer and keeps it until it is unloaded
    """

    def __init__(self, reservation: Reservation) -> None:
        self.reservation = reservation
        self.running: RunningModel | None = None
        self.error: str | None = None
        self.load_ended = asyncio.Event()
        self.unload_requested = asyncio.Event()
        self.task: asyncio.Task[None]
        self.supervisor: Supervisor


@dataclass(slots=True)
class ModelSlot:
    """Hold the recognizers that serve one name.

    source: what the recognizer is loaded from
    active: the recognizer that serves new sessions
    loading: the recognizer that loads and will serve them
    error: why the last recognizer failed to load or broke
    retry_at: time of the event loop from which a failed load is tried again
    memory: bytes measured by the last successful load
    """

    name: str
    source: str
    active: ModelHandle | None = None
    loading: ModelHandle | None = None
    error: str | None = None
    retry_at: float = 0.0
    memory: int = 0

    @property
    def handle(self) -> ModelHandle | None:
        """Return the recognizer that serves new sessions, now or once it is loaded; never a broken one."""
        if self.active is not None and self.active.supervisor.error is None:
            return self.active
        return self.loading

    @property
    def state(self) -> ModelState:
        """Return the state of the name."""
        handle = self.handle
        if handle is None:
            return ModelState.FAILED if self.error is not None else ModelState.ABSENT
        if handle is self.loading:
            return ModelState.LOADING
        return ModelState.RESTARTING if handle.supervisor.is_restarting else ModelState.READY
