"""Relate the words of a segment to its time, and to its text."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from asr.recognizer import Word
from audio.clip import SAMPLE_RATE

MIN_SAMPLES: Final = SAMPLE_RATE // 50  # of a word; 20 ms


def separated(words: Sequence[Word], start: int, end: int) -> tuple[Word, ...]:
    """Return the words in order inside [start, end), each at least MIN_SAMPLES long, without overlaps.

    start, end: samples of the stream. If the words do not fit, they share the segment evenly. Words whose
    times are right are returned as they are.
    """
    count = len(words)
    least = min(MIN_SAMPLES, (end - start) // count) if count else 0
    starts: list[int] = []
    earliest = start
    for number, word in enumerate(words):
        latest = end - (count - number) * least
        starts.append(max(earliest, min(word.start, latest)))
        earliest = starts[-1] + least
    return tuple(
        _moved(word, first, max(first + least, min(word.end, following)))
        for word, first, following in zip(words, starts, [*starts, end][1:], strict=True)
    )


def text_before_words(text: str, words: Sequence[Word]) -> list[str] | None:
    """Return the text cut before each word, without a word's own spaces; None if the words do not make it up.

    The pieces together are the text.
    """
    places, at = [], 0
    for word in words:
        token = " ".join(word.text.split())
        place = text.find(token, at)
        if place < 0 or any(map(str.isalnum, text[at:place])):
            return None
        places.append(place)
        at = place + len(token)
    return [text[start:end] for start, end in pairwise([0, *places[1:], len(text)])]


def _moved(word: Word, start: int, end: int) -> Word:
    return word if (word.start, word.end) == (start, end) else replace(word, start=start, end=end)
