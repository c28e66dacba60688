"""Give streams access to the shared models: the detector and a recognizer, each behind its queue."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from asr.recognizer import Hypothesis, RecognitionRequest
from audio.clip import SAMPLE_RATE, Clip, Samples
from batching.batcher import BULK, Batcher
from diarization.chunks import ChunkSpeakers
from diarization.steps import Step, StepSpeakers
from streaming.degradation import NO_DEGRADATION, Degradation
from streaming.events import StreamClosed
from streaming.options import SessionOptions
from streaming.spool import Spool
from streaming.utterance import TaskKind
from vad.detector_input import DetectorInput

INCREMENTAL_INTERVAL: Final = SAMPLE_RATE // 5
# A clip has one language, and the words of another one are lost. In a file, a silence of this length may lie
# between two languages.
LANGUAGE_PAUSE_MS: Final = 900

Probabilities = NDArray[np.float32]


class DetectorSlots(Protocol):
    """Lend rows of the detector's state, each to one stream."""

    def open(self) -> int:
        """Return a free slot."""
        ...

    def close(self, slot: int, /) -> None:
        """Take a slot back."""
        ...


class SpeakerClient(Protocol):
    """Find the speakers in chunks of audio, with a model that all streams share."""

    async def start(self) -> None:
        """Load the model, unless it is loaded. Raises SpeakersUnavailable."""
        ...

    async def analyse(self, chunk: Samples, /, priority: int = BULK) -> ChunkSpeakers:
        """Return the speakers of a chunk of at most CHUNK_SAMPLES. Raises SpeakersUnavailable."""
        ...


class StepClient(Protocol):
    """Find the speakers of whole recordings step by step, with a model that all files share."""

    async def start(self) -> None:
        """Load the model, unless it is loaded. Raises SpeakersUnavailable."""
        ...

    async def run(self, step: Step, /) -> StepSpeakers:
        """Return the speakers of a step. Raises SpeakersUnavailable."""
        ...


class TaskOutcome(StrEnum):
    """Name the outcomes of a recognition task.

    DROPPED: withdrawn before it ran, because speech continued or a newer task came
    SHED: not accepted, because the queue was full or recognition was behind
    """

    DONE = "done"
    DROPPED = "dropped"
    SHED = "shed"
    FAILED = "failed"


def _ignore(kind: TaskKind, outcome: TaskOutcome) -> None:
    pass


@dataclass(frozen=True, slots=True)
class ModelClients:
    """Hold what all stream drivers share.

    slots, vad: the slots and the queue of the detector
    asr: the queue of the recognizer
    incremental: whether the recognizer continues from the last partial of an utterance; then partials are
        made often and even if the client does not want them, so that little work is left at the end
    continues: whether the recognizer uses what was said before; files do without, as their segments are long
    on_task_done: called with the kind and the outcome of each task
    bulk: whether no live client waits, so that finals run after all live work
    on_stream_closed: called once with the sums of a stream's samples when it is over, however it ended
    degradation: returns what streams go without at the moment
    turn_model: the queue of the model that returns how probably a turn is complete; None if there is none
    languages: ISO 639-1 codes of the recognizer's languages; () if unknown
    spool: keeps what waits on disk, so that a client need not wait; None if it must
    speakers: finds who speaks; None if the server does not distinguish speakers
    speaker_steps: finds who speaks in files, in place of `speakers`; None if there is no such model
    """

    slots: DetectorSlots
    vad: Batcher[DetectorInput, Probabilities]
    asr: Batcher[RecognitionRequest, Hypothesis]
    incremental: bool = False
    continues: bool = False
    on_task_done: Callable[[TaskKind, TaskOutcome], None] = _ignore
    bulk: bool = False
    on_stream_closed: Callable[[StreamClosed], None] = lambda closed: None
    degradation: Callable[[], Degradation] = lambda: NO_DEGRADATION
    turn_model: Batcher[Clip, float] | None = None
    languages: tuple[str, ...] = ()
    spool: Spool | None = None
    speakers: SpeakerClient | None = None
    speaker_steps: StepClient | None = None

    def adapt(self, options: SessionOptions) -> SessionOptions:
        """Return the client's options with the changes that the recognizer requires."""
        if options.vad.pause_ms > LANGUAGE_PAUSE_MS and self._detects_language(options):
            options = replace(options, vad=replace(options.vad, pause_ms=LANGUAGE_PAUSE_MS))
        if options.text.conceals:
            options = replace(options, partials=False)
        if self.continues and not self.bulk and not options.vad.pause_ms:
            options = replace(options, continues=True)
        if not self.incremental:
            return options
        interval = min(options.partial_interval, INCREMENTAL_INTERVAL)
        return replace(options, partials=True, partial_interval=interval, bounded_partials=False)

    def _detects_language(self, options: SessionOptions) -> bool:
        return len(self.languages) > 1 and options.asr.language not in self.languages
