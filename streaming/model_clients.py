"""Models: what all streams share, the detector and a recognizer, each behind its queue."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from asr.recognizer import Hypothesis, RecognitionRequest
from audio.clip import SAMPLE_RATE
from batching.batcher import Batcher
from streaming.degradation import NO_DEGRADATION, Degradation
from streaming.events import StreamClosed
from streaming.options import SessionOptions
from streaming.utterance import TaskKind
from vad.detector_input import DetectorInput

INCREMENTAL_INTERVAL: Final = SAMPLE_RATE // 5

Probabilities = NDArray[np.float32]


class DetectorSlots(Protocol):
    """Rows of the detector's state, lent to one stream each."""

    def open(self) -> int: ...
    def close(self, slot: int, /) -> None: ...


class TaskOutcome(StrEnum):
    """What became of a job.

    DROPPED: taken back before it ran, as speech had gone on or a newer one had come
    SHED: the queue was full, or recognition was behind
    """

    DONE = "done"
    DROPPED = "dropped"
    SHED = "shed"
    FAILED = "failed"


def _untold(kind: TaskKind, fate: TaskOutcome) -> None:
    pass


@dataclass(frozen=True, slots=True)
class ModelClients:
    """What all pumps share.

    incremental: the recognizer goes on from where an utterance's last partial left it; so partials are worked
    out whether the client wants them or not, and often: little is left to do at the end
    bulk: nobody waits live, so that finals go behind all work of those who do
    account: is told what became of a stream's samples when it is over, however it ended
    relief: what streams go without now
    """

    slots: DetectorSlots
    vad: Batcher[DetectorInput, Probabilities]
    asr: Batcher[RecognitionRequest, Hypothesis]
    incremental: bool = False
    tally: Callable[[TaskKind, TaskOutcome], None] = _untold
    bulk: bool = False
    account: Callable[[StreamClosed], None] = lambda closed: None
    relief: Callable[[], Degradation] = lambda: NO_DEGRADATION

    def adapt(self, options: SessionOptions) -> SessionOptions:
        """The client's options, and what the recognizer's nature adds to them."""
        if not self.incremental:
            return options
        interval = min(options.partial_interval, INCREMENTAL_INTERVAL)
        return replace(options, partials=True, partial_interval=interval, bounded_partials=False)
