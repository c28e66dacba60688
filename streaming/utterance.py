"""Define utterances and the tasks that transcribe them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import numpy as np

from asr.recognizer import Hypothesis, RecognitionRequest, TranscriptionOptions
from audio.clip import Clip, Samples
from postprocessing.options import TextOptions
from streaming.partials import Partials
from vad.segmenter import Reason

NO_SAMPLES: Final[Samples] = np.empty(0, np.float32)


class TaskKind(IntEnum):
    """Name the purposes of a task; the value is its priority, 0 first.

    FINAL: the text of a closed utterance
    EAGER: the text at the beginning of a pause, which is the final if the pause ends the utterance
    PARTIAL: the text of an utterance that is still being spoken
    BULK: a final for which no live client waits
    """

    FINAL = 0
    EAGER = 1
    PARTIAL = 2
    BULK = 3


@dataclass(frozen=True, slots=True, eq=False)
class RecognitionTask:
    """Ask for the text of a clip of an utterance."""

    kind: TaskKind
    utterance: int
    request: RecognitionRequest

    @property
    def key(self) -> tuple[int, int]:
        """Tasks with the same key have the same clip: one transcription serves both."""
        return self.utterance, self.request.clip.end


@dataclass(frozen=True, slots=True, eq=False)
class TurnQuestion:
    """Ask whether the turn is complete, as far as it is in this clip.

    A session asks about one pause at a time, and judges no further hop until the answer is there.
    """

    utterance: int
    clip: Clip


@dataclass(frozen=True, slots=True)
class RecordedResult:
    """Hold the result that was sent for an utterance, for a session that is replayed from its journal."""

    hypothesis: Hypothesis
    guard: str | None


@dataclass(slots=True)
class Utterance:
    """Hold what a session knows of a segment until its final has left. It is open until `clip` is set.

    asr, text: the options in force when it began; a later change applies to the next utterance
    paused_at: end of the utterance if the present pause ends it; None outside a pause
    is_eager_pending: the eager text of this pause is being transcribed
    eager: the eager text of this pause
    asked_at: `paused_at` of the pause about which a TurnQuestion was asked
    question: the TurnQuestion without an answer so far
    is_trusted: some text of the utterance has passed the hallucination filter
    language: of the last partial that was sure of it
    likely_language: that of the task whose text is `eager` or `outcome`
    doubted: the final hypothesis that is replaced because its language is unlikely
    clip, reason: the audio of the closed segment, and why it ended
    speech_probabilities: the detector's probabilities of the closed segment, one for each hop
    outcome: the final hypothesis, the error message in its place, or the result that was sent before a replay
    used_eager: whether the final text was ready when the segment closed
    tasks: recognition tasks without a result so far
    previous: the closed utterance before, which this one may continue; None once the final has left
    pause: the sound between the two, of a closed segment
    is_held: the task of the final waits for the final of the utterance before
    is_final_known: the final has left, or its failure
    said: the text of the final, if another utterance may continue it; its language, if it is sure of it
    """

    number: int
    start: int
    partials: Partials
    asr: TranscriptionOptions = field(default_factory=TranscriptionOptions)
    text: TextOptions = field(default_factory=TextOptions)
    paused_at: int | None = None
    is_eager_pending: bool = False
    eager: Hypothesis | None = None
    asked_at: int | None = None
    question: TurnQuestion | None = None
    is_trusted: bool = False
    language: str | None = None
    likely_language: str | None = None
    doubted: Hypothesis | None = None
    clip: Clip | None = None
    reason: Reason | None = None
    speech_probabilities: Sequence[float] = ()
    outcome: Hypothesis | RecordedResult | str | None = None
    used_eager: bool = False
    tasks: list[RecognitionTask] = field(default_factory=list)
    previous: "Utterance | None" = field(default=None, repr=False)
    pause: Samples = field(default_factory=lambda: NO_SAMPLES)
    is_held: bool = False
    is_final_known: bool = False
    said: str = ""
    said_language: str | None = None

    @property
    def waits_for_previous(self) -> bool:
        """Whether the final of the utterance before, which this one may continue, is not known."""
        return self.previous is not None and not self.previous.is_final_known

    @property
    def clip_length(self) -> int:
        """Samples of the closed segment."""
        return len(self.clip.samples) if self.clip else 0

    @property
    def kept_samples(self) -> int:
        """Samples of the closed segment, and of the pause before it if that belongs to it."""
        return self.clip_length + len(self.pause)

    def is_eager_of_pause(self, task: RecognitionTask) -> bool:
        """Return whether this is the eager task of the present pause."""
        return task.kind is TaskKind.EAGER and task.request.clip.end == self.paused_at

    def is_ended_by(self, task: RecognitionTask) -> bool:
        """Return whether the task covers the whole closed segment, as an eager one may."""
        clip = self.clip
        return task.kind is not TaskKind.PARTIAL and clip is not None and clip.end == task.request.clip.end

    def wants(self, task: RecognitionTask) -> bool:
        """Return whether the result of a task still matters."""
        if self.clip is not None:
            return self.outcome is None and self.is_ended_by(task)
        return task.kind is TaskKind.PARTIAL or self.is_eager_of_pause(task)
