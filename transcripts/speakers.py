"""Tell who said each word, and split segments where the speaker changes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from string import ascii_uppercase

from asr.recognizer import Word
from diarization.overlap import NO_OVERLAPS, Overlaps
from diarization.speaker_finder import SpeakerFinder
from diarization.turns import Turn
from transcripts.segments import cut_segment
from transcripts.transcript import TranscriptSegment


def with_speakers(
    segments: Iterable[TranscriptSegment],
    turns: Sequence[Turn],
    labels: Sequence[str] = ascii_uppercase,
    overlaps: Overlaps = NO_OVERLAPS,
) -> list[TranscriptSegment]:
    """Return the segments with the speakers of segments and words, split where the speaker changes.

    turns: in any order; they may overlap. Without turns the segments stay as they are
    labels: of each speaker, by number; more speakers than labels raise IndexError
    overlaps: where several speak at once; such words and their segments are marked
    The words and the texts are the same as before. A segment without times of words has one speaker.
    """
    if not turns:
        return list(segments)
    finder = SpeakerFinder(turns)
    return [part for segment in segments for part in _split(segment, finder, labels, overlaps)]


def spoken_by(segment: TranscriptSegment, speaker: str) -> TranscriptSegment:
    """Return the segment as that of one speaker."""
    words = tuple(replace(word, speaker=speaker) for word in segment.hypothesis.words)
    return replace(segment, speaker=speaker, hypothesis=replace(segment.hypothesis, words=words))


def _split(
    segment: TranscriptSegment, finder: SpeakerFinder, labels: Sequence[str], overlaps: Overlaps
) -> Iterator[TranscriptSegment]:
    hypothesis = segment.hypothesis
    if not hypothesis.words:
        speaker = labels[finder.find(segment.start, segment.end)]
        yield replace(segment, speaker=speaker, overlap=overlaps.has_part_of(segment.start, segment.end))
        return
    words = [
        replace(
            word,
            speaker=labels[finder.find(word.start, word.end)],
            overlap=overlaps.has_word(word.start, word.end),
        )
        for word in hypothesis.words
    ]
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
