"""Utterance: what a session remembers of one segment until its final has left. Job: a clip to transcribe.
Conclusion: what was said at its end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from asr.recognizer import Hypothesis, RecognitionRequest, TranscriptionOptions
from audio.clip import Clip
from streaming.partials import Partials
from vad.segmenter import Reason


class TaskKind(IntEnum):
    """What a job is for; the value is its priority, 0 first. BULK: a final for which nobody waits live."""

    FINAL = 0
    EAGER = 1
    PARTIAL = 2
    BULK = 3


@dataclass(frozen=True, slots=True, eq=False)
class RecognitionTask:
    """A clip of an utterance to transcribe."""

    kind: TaskKind
    utterance: int
    request: RecognitionRequest

    @property
    def key(self) -> tuple[int, int]:
        """Same key, same clip: one transcription serves both."""
        return self.utterance, self.request.clip.end


@dataclass(frozen=True, slots=True)
class RecordedResult:
    """What a Final told; it is known before its segment closes only when a session is played once more."""

    hypothesis: Hypothesis
    guard: str | None


@dataclass(slots=True)
class Utterance:
    """Open until `clip` is set; told once `outcome` is.

    asr: the recognition options in force when it began; a later change applies to the next utterance
    paused_at: end of the clip that was, or is being, transcribed eagerly in the present pause
    awaited: it is being transcribed still
    eager: what came of it
    believed: some text of it has passed the guards
    heard: the detector's probabilities of the closed segment, one a hop
    outcome: the final hypothesis, or why there is none; or what was told already
    ahead: it was there when the segment closed
    """

    number: int
    start: int
    partials: Partials
    asr: TranscriptionOptions = field(default_factory=TranscriptionOptions)
    paused_at: int | None = None
    awaited: bool = False
    eager: Hypothesis | None = None
    believed: bool = False
    clip: Clip | None = None
    reason: Reason | None = None
    heard: Sequence[float] = ()
    outcome: Hypothesis | RecordedResult | str | None = None
    ahead: bool = False

    @property
    def clip_length(self) -> int:
        """Samples of the closed segment."""
        return len(self.clip.samples) if self.clip else 0

    def hears_pause(self, job: RecognitionTask) -> bool:
        """Whether the job is the eager one of the pause under way."""
        return job.kind is TaskKind.EAGER and job.request.clip.end == self.paused_at

    def is_ended_by(self, job: RecognitionTask) -> bool:
        """Whether the job heard the whole closed segment; an eager one did if its pause became the end."""
        clip = self.clip
        return job.kind is not TaskKind.PARTIAL and clip is not None and clip.end == job.request.clip.end
