"""Lives: a recognizer from loading to unloading, and the name under which one after another is lent."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from asr.recognizer import Hypothesis, ModelInfo, RecognitionRequest
from batching.batcher import Batcher
from server.shelf import Place
from server.watchdog import Watchdog

Asr = Batcher[RecognitionRequest, Hypothesis]


class State(StrEnum):
    ABSENT = "absent"
    LOADING = "loading"
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Recognizer:
    """One at work."""

    asr: Asr
    description: ModelInfo


class Life:
    """One recognizer from loading to unloading. settled: it was loaded, or failed."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.recognizer: Recognizer | None = None
        self.error: str | None = None
        self.settled = asyncio.Event()
        self.over = asyncio.Event()
        self.task: asyncio.Task[None]
        self.watchdog: Watchdog


@dataclass(slots=True)
class Entry:
    """A name. current: what is lent; arriving: what loads, at most one, to be lent from then on.

    error, retry_at: of a load that failed, or of one that broke; memory: bytes, as measured by the last load
    that did not fail
    """

    name: str
    source: str
    current: Life | None = None
    arriving: Life | None = None
    error: str | None = None
    retry_at: float = 0.0
    memory: int = 0

    @property
    def life(self) -> Life | None:
        """What is lent, or will be: not what is broken."""
        if self.current is not None and self.current.watchdog.error is None:
            return self.current
        return self.arriving

    @property
    def state(self) -> State:
        life = self.life
        if life is None:
            return State.FAILED if self.error is not None else State.ABSENT
        if life is self.arriving:
            return State.LOADING
        return State.RESTARTING if life.watchdog.is_restarting else State.READY
