"""Decide whether an utterance is recognized together with the one before it.

The first words of an utterance that follows soon lose their context, so the recognizer also gets the sound
and the final text of the utterance before (docs/decisions/0030). Whether it does depends on samples, options
and finals, and never on time.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from asr.hallucination_filter import FilterThresholds, is_sure_of_speech
from asr.recognizer import PreviousUtterance
from audio.clip import SAMPLE_RATE, Clip, Samples
from streaming.utterance import Utterance
from vad.segmenter import Reason

MAX_PAUSE: Final = SAMPLE_RATE  # between two utterances
MAX_JOINED: Final = 12 * SAMPLE_RATE  # from the start of the first to the end of the second


def may_be_continued(utterance: Utterance) -> bool:
    """Return whether another utterance may continue this closed one.

    It must have ended by itself, and its text must be what the recognizer wrote.
    """
    asr = utterance.asr
    return (
        utterance.reason is Reason.SILENCE
        and utterance.clip_length < MAX_JOINED
        and asr.task == "transcribe"
        and not asr.temperature
        and not utterance.text.changes_text
    )


def may_continue(utterance: Utterance, before: Utterance) -> bool:
    """Return whether an utterance that begins may continue the one before, which may be continued."""
    assert before.clip is not None
    return (
        utterance.start - before.clip.end < MAX_PAUSE
        and utterance.asr == before.asr
        and not utterance.text.changes_text
    )


def continues(
    utterance: Utterance, end: int, probabilities: Sequence[float], guards: FilterThresholds
) -> bool:
    """Return whether an utterance that ends at `end` is recognized with the one before, once that has a text.

    The recognizer's probability of no speech is then that of both. So the utterance must be speech without
    it: the detector is so sure that nothing is rejected.

    probabilities: the detector's probabilities of the utterance, one for each hop
    """
    return (
        utterance.previous is not None
        and end - utterance.previous.start <= MAX_JOINED
        and is_sure_of_speech(probabilities, guards)
    )


def previous_of(before: Utterance, pause: Samples) -> PreviousUtterance | None:
    """Return what a recognizer gets of the utterance before; None if that has no text.

    pause: the sound between the two, float32 (n,)
    """
    if not before.said or before.clip is None:
        return None
    clip = Clip(np.concatenate([before.clip.samples, pause]), before.clip.start)
    return PreviousUtterance(clip, before.said, before.said_language)
