"""Define the steps in which a streaming model hears a recording, and make turns of what it says.

Each step is heard together with some audio after it, and with the state that the step before left behind. So
a step can run in any process, and the steps of several recordings in one batch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from audio.clip import Samples
from diarization.chunks import Flags, Floats
from diarization.overlap import Overlaps
from diarization.turns import Turn, overlaps_in, turns_of

FRAME_SAMPLES: Final = 160  # 10 ms
GROUP_FRAMES: Final = 8  # that the network joins to one of its own frames
GROUP_SAMPLES: Final = FRAME_SAMPLES * GROUP_FRAMES
STEP_GROUPS: Final = 340  # 27.2 s
AHEAD_GROUPS: Final = 40  # 3.2 s
MARGIN_SAMPLES: Final = 256  # before the first frame of a step, which the frame sees
# Samples that the frames of a step and of what is heard after it see.
_WHOLE_SAMPLES: Final = (STEP_GROUPS + AHEAD_GROUPS) * GROUP_SAMPLES + 2 * MARGIN_SAMPLES - FRAME_SAMPLES
STEP_SPEAKERS: Final = 8  # most that the model tells apart


@dataclass(frozen=True, slots=True, eq=False)
class StepState:
    """Hold what a model keeps of a recording: about 0.6 MB.

    voices: float32 (n, width), frames of all speakers so far
    activity: float32 (n, speakers), who speaks in them
    recent: float32 (m, width), the last frames
    compressed: whether `voices` is a selection
    """

    voices: Floats
    activity: Floats
    recent: Floats
    compressed: bool


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """Hold a part of a recording for the model.

    samples: float32 (n,): MARGIN_SAMPLES before the step, the step, and what is heard after it
    ahead: groups of frames after the step; 0 for the last one
    is_end: whether the recording ends with the samples
    state: of the step before; None for the first one
    """

    samples: Samples
    ahead: int
    is_end: bool
    state: StepState | None = None


@dataclass(frozen=True, slots=True, eq=False)
class StepSpeakers:
    """Hold who speaks in a step: bool (frames, STEP_SPEAKERS), and the state for the next one."""

    active: Flags
    state: StepState


class StepCutter:
    """Cut a recording into steps of STEP_GROUPS, whose states are to be filled in.

    Holds less than 31 s between two calls. The steps do not depend on how the audio is divided.
    """

    def __init__(self) -> None:
        self._kept: Samples = np.zeros(MARGIN_SAMPLES, np.float32)

    def push(self, samples: Samples) -> Iterator[Step]:
        """Yield the steps that these samples complete; they follow those of the call before."""
        self._kept = np.concatenate([self._kept, samples])
        while len(self._kept) >= _WHOLE_SAMPLES + FRAME_SAMPLES:  # There is a frame after it.
            yield self._whole()

    def finish(self) -> Iterator[Step]:
        """Yield the last steps; none if there is no whole frame."""
        groups = self._groups()
        if groups > STEP_GROUPS + AHEAD_GROUPS:
            yield self._whole()
            groups = self._groups()
        if groups > STEP_GROUPS:
            yield Step(self._kept, groups - STEP_GROUPS, True)
            self._kept = self._kept[STEP_GROUPS * GROUP_SAMPLES :]
            groups -= STEP_GROUPS
        if groups > 0:
            yield Step(self._kept, 0, True)

    def _whole(self) -> Step:
        step = Step(self._kept[:_WHOLE_SAMPLES].copy(), AHEAD_GROUPS, False)
        self._kept = self._kept[STEP_GROUPS * GROUP_SAMPLES :]
        return step

    def _groups(self) -> int:
        frames = (len(self._kept) - MARGIN_SAMPLES) // FRAME_SAMPLES
        return -(-frames // GROUP_FRAMES)


def turns_of_steps(active: Sequence[Flags]) -> tuple[Turn, ...]:
    """Return the turns of a recording from who speaks in its steps, in order of their starts.

    Speakers are numbered as they first appear.
    """
    turns, _ = turns_of(_joined(active), 0, FRAME_SAMPLES)
    return turns


def overlaps_of_steps(active: Sequence[Flags]) -> Overlaps:
    """Return where several speak at once, from who speaks in the steps of a recording."""
    return overlaps_in(_joined(active).sum(axis=1) > 1, 0, FRAME_SAMPLES)


def _joined(active: Sequence[Flags]) -> Flags:
    joined: Flags = np.concatenate([*active, np.zeros((0, STEP_SPEAKERS), np.bool_)])
    return joined
