"""Give every word of a segment a time of its own."""

from collections.abc import Sequence
from dataclasses import replace
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


def _moved(word: Word, start: int, end: int) -> Word:
    return word if (word.start, word.end) == (start, end) else replace(word, start=start, end=end)
