"""Utterance: what a session remembers of one segment until its final has left. Job: a clip to transcribe."""

from dataclasses import dataclass
from enum import IntEnum

from asr.hypothesis import Hypothesis, Request
from audio.clip import Clip
from stream.partials import Partials
from vad.segmenter import Reason


class Kind(IntEnum):
    """What a job is for; the value is its priority, 0 first."""

    FINAL = 0
    EAGER = 1
    PARTIAL = 2


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A clip of an utterance to transcribe."""

    kind: Kind
    utterance: int
    request: Request

    @property
    def key(self) -> tuple[int, int]:
        """Same key, same clip: one transcription serves both."""
        return self.utterance, self.request.clip.end


@dataclass(slots=True)
class Utterance:
    """Open until `clip` is set; told once `outcome` is.

    paused_at: end of the clip that was, or is being, transcribed eagerly in the present pause
    eager: what came of it
    outcome: the final hypothesis, or why there is none
    """

    number: int
    start: int
    partials: Partials
    paused_at: int | None = None
    eager: Hypothesis | None = None
    clip: Clip | None = None
    reason: Reason | None = None
    outcome: Hypothesis | str | None = None

    @property
    def clip_length(self) -> int:
        """Samples of the closed segment."""
        return len(self.clip.samples) if self.clip else 0
