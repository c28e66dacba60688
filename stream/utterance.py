"""Utterance: what a session remembers of one segment until its final has left. Job: a clip to transcribe.
Wanted: jobs that nobody has taken yet."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from asr.hypothesis import Hypothesis, Request
from audio.clip import Clip
from stream.partials import Partials
from vad.segmenter import Reason


class Kind(IntEnum):
    """What a job is for; the value is its priority, 0 first. BULK: a final for which nobody waits live."""

    FINAL = 0
    EAGER = 1
    PARTIAL = 2
    BULK = 3


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
    awaited: it is being transcribed still
    eager: what came of it
    believed: some text of it has passed the guards
    heard: the detector's probabilities of the closed segment, one a hop
    outcome: the final hypothesis, or why there is none
    ahead: it was there when the segment closed
    """

    number: int
    start: int
    partials: Partials
    paused_at: int | None = None
    awaited: bool = False
    eager: Hypothesis | None = None
    believed: bool = False
    clip: Clip | None = None
    reason: Reason | None = None
    heard: Sequence[float] = ()
    outcome: Hypothesis | str | None = None
    ahead: bool = False

    @property
    def clip_length(self) -> int:
        """Samples of the closed segment."""
        return len(self.clip.samples) if self.clip else 0


@dataclass(slots=True)
class Wanted:
    """Jobs that nobody has taken yet. A newer partial or eager job replaces the one before it; finals queue
    up, and are bounded by the audio that the pump lets in."""

    finals: deque[Job] = field(default_factory=deque)
    eager: bool = False
    partial: bool = False
