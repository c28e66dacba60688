"""Split the long segments in which a file is recognized into segments that are easy to read."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from asr.recognizer import Word
from asr.word_spans import text_before_words
from audio.clip import SAMPLE_RATE, samples_from_ms
from transcripts.paragraphs import ends_sentence, sentences_of
from transcripts.transcript import TranscriptSegment

# A sentence shorter than MIN_SAMPLES is joined to the next one, unless a PAUSE follows it. Where the
# recognizer writes no punctuation, a PAUSE ends a part.
MIN_SAMPLES: Final = 2 * SAMPLE_RATE
PAUSE: Final = samples_from_ms(500)
MAX_SAMPLES: Final = 15 * SAMPLE_RATE  # A longer part without the end of a sentence is cut at a pause.


def split_segment(segment: TranscriptSegment) -> list[TranscriptSegment]:
    """Return the segment in parts that end at the ends of sentences; without times of words, as it is.

    The texts of the parts make up the text, and each has the words that lie in it. What a recognizer reports
    of the whole segment, such as its confidence, is that of every part.
    """
    words = segment.hypothesis.words
    return cut_segment(segment, _parts(words)) if words else [segment]


def cut_segment(segment: TranscriptSegment, parts: Iterable[Sequence[Word]]) -> list[TranscriptSegment]:
    """Return the segment cut between the parts, its words in order; uncut if they do not make up its text."""
    words = segment.hypothesis.words
    pieces = text_before_words(segment.hypothesis.text, words)
    if pieces is None:
        return [segment]
    cut, first, start = [], 0, segment.start
    for part in parts:
        last = first + len(part)
        is_last = last == len(words)
        end = segment.end if is_last else min(max(part[-1].end, start + 1), segment.end)
        text = "".join(pieces[first:last]).strip()
        hypothesis = replace(segment.hypothesis, text=text, words=tuple(part))
        cut.append(replace(segment, start=start, end=end, hypothesis=hypothesis))
        if not is_last:
            start = min(max(words[last].start, end), segment.end - 1)
        first = last
    return cut


def _parts(words: Sequence[Word]) -> Iterator[Sequence[Word]]:
    """Yield the words in parts of one or more sentences, or in parts of a long sentence.

    Where the recognizer writes no punctuation, a pause ends a sentence.
    """
    part: list[Word] = []
    sentences = list(sentences_of(words))
    is_punctuated = len(sentences) > 1 or ends_sentence(words[-1])
    for sentence in sentences if is_punctuated else _between_pauses(words):
        if part and _ends(part, sentence):
            yield from _limited(part)
            part = []
        part.extend(sentence)
    if part:
        yield from _limited(part)


def _between_pauses(words: Sequence[Word]) -> Iterator[Sequence[Word]]:
    cuts = [n for n in range(1, len(words)) if words[n].start - words[n - 1].end >= PAUSE]
    for first, last in pairwise([0, *cuts, len(words)]):
        yield words[first:last]


def _ends(part: Sequence[Word], sentence: Sequence[Word]) -> bool:
    return part[-1].end - part[0].start >= MIN_SAMPLES or sentence[0].start - part[-1].end >= PAUSE


def _limited(part: Sequence[Word]) -> Iterator[Sequence[Word]]:
    """Cut a part at its longest pause, or else in the middle, until it is short enough."""
    if len(part) == 1 or part[-1].end - part[0].start <= MAX_SAMPLES:
        yield part
        return

    def pause(cut: int) -> tuple[int, int]:
        return part[cut].start - part[cut - 1].end, -abs(2 * cut - len(part))

    cut = max(range(1, len(part)), key=pause)
    yield from _limited(part[:cut])
    yield from _limited(part[cut:])
