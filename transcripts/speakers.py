"""Tell who said each word, and split segments where the speaker changes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from string import ascii_uppercase
from typing import Final

import numpy as np

from asr.recognizer import Word
from audio.clip import samples_from_ms
from diarization.turns import Turn
from transcripts.segments import cut_segment
from transcripts.transcript import TranscriptSegment

# A word outside all turns belongs to the nearest one up to this distance, else to the speaker before.
MAX_DISTANCE: Final = samples_from_ms(1_000)
# The times of words are uncertain. A word stays with the speaker before unless another one has more of it, by
# this part of its length.
STAY: Final = 0.1


def with_speakers(
    segments: Iterable[TranscriptSegment], turns: Sequence[Turn], labels: Sequence[str] = ascii_uppercase
) -> list[TranscriptSegment]:
    """Return the segments with the speakers of segments and words, split where the speaker changes.

    turns: in any order; they may overlap. Without turns the segments stay as they are
    labels: of each speaker, by number; more speakers than labels raise IndexError
    The words and the texts are the same as before. A segment without times of words has one speaker.
    """
    if not turns:
        return list(segments)
    finder = SpeakerFinder(turns)
    return [part for segment in segments for part in _split(segment, finder, labels)]


def _split(
    segment: TranscriptSegment, finder: "SpeakerFinder", labels: Sequence[str]
) -> Iterator[TranscriptSegment]:
    hypothesis = segment.hypothesis
    if not hypothesis.words:
        yield replace(segment, speaker=labels[finder.find(segment.start, segment.end)])
        return
    words = [replace(word, speaker=labels[finder.find(word.start, word.end)]) for word in hypothesis.words]
    known = replace(segment, hypothesis=replace(hypothesis, words=tuple(words)))
    groups = [list(group) for _, group in groupby(words, key=attrgetter("speaker"))]
    for part in cut_segment(known, groups):
        yield replace(part, speaker=_longest(part.hypothesis.words))


def _longest(words: Sequence[Word]) -> str | None:
    """Return the speaker who says most of the words, measured in time; the first one of several."""
    lengths: dict[str | None, int] = {}
    for word in words:
        lengths[word.speaker] = lengths.get(word.speaker, 0) + max(word.end - word.start, 1)
    return max(lengths, key=lambda speaker: lengths[speaker])


class SpeakerFinder:
    """Find the speaker of intervals that come in order.

    number_before: the speaker of the last interval; None before the first
    """

    def __init__(self, turns: Sequence[Turn]) -> None:
        self.number_before: int | None = None
        self._starts = np.array([turn.start for turn in turns])
        self._ends = np.array([turn.end for turn in turns])
        self._speakers = np.array([turn.speaker for turn in turns])

    def find(self, start: int, end: int) -> int:
        """Return the number of the speaker who speaks most in an interval, or next to it."""
        shared = np.minimum(self._ends, end) - np.maximum(self._starts, start)
        inside = np.bincount(self._speakers, np.maximum(shared, 0))
        best = int(inside.argmax())
        before = self.number_before
        if not inside[best]:
            nearest = int(shared.argmax())
            best = int(self._speakers[nearest])
            if before is not None and -shared[nearest] > MAX_DISTANCE:
                best = before
        elif before is not None and inside[best] - inside[before] <= STAY * (end - start):
            best = before
        self.number_before = best
        return best
