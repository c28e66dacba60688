"""Lives: a recognizer from loading to unloading, and the name under which one after another is lent."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from asr.recognizer import Hypothesis, ModelInfo, RecognitionRequest
from batching.batcher import Batcher
from engine.memory_budget import Reservation
from engine.supervisor import Supervisor

Asr = Batcher[RecognitionRequest, Hypothesis]


class ModelState(StrEnum):
    ABSENT = "absent"
    LOADING = "loading"
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RunningModel:
    """One at work."""

    asr: Asr
    description: ModelInfo


class ModelHandle:
    """One recognizer from loading to unloading. settled: it was loaded, or failed."""

    def __init__(self, place: Reservation) -> None:
        self.place = place
        self.recognizer: RunningModel | None = None
        self.error: str | None = None
        self.settled = asyncio.Event()
        self.over = asyncio.Event()
        self.task: asyncio.Task[None]
        self.watchdog: Supervisor


@dataclass(slots=True)
class ModelSlot:
    """A name. current: what is lent; arriving: what loads, at most one, to be lent from then on.

    error, retry_at: of a load that failed, or of one that broke; memory: bytes, as measured by the last load
    that did not fail
    """

    name: str
    source: str
    current: ModelHandle | None = None
    arriving: ModelHandle | None = None
    error: str | None = None
    retry_at: float = 0.0
    memory: int = 0

    @property
    def life(self) -> ModelHandle | None:
        """What is lent, or will be: not what is broken."""
        if self.current is not None and self.current.watchdog.error is None:
            return self.current
        return self.arriving

    @property
    def state(self) -> ModelState:
        life = self.life
        if life is None:
            return ModelState.FAILED if self.error is not None else ModelState.ABSENT
        if life is self.arriving:
            return ModelState.LOADING
        return ModelState.RESTARTING if life.watchdog.is_restarting else ModelState.READY
