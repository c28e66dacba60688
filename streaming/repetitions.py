"""Shorten texts in which a recognizer repeats itself without end.

People repeat words, too: "no, no, no", or the digits of a number. A run of repetitions is shortened only if
the phrase is long, or if the text has more words than fit into the speech.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from asr.hallucination_filter import AcousticEvidence, FilterThresholds
from asr.recognizer import Hypothesis, Word
from asr.repeated_run import longest_repetition
from streaming.local_agreement import normalized, pieces

MAX_PHRASE: Final = 16  # pieces; the longest phrase whose repetition is found
LONG_PHRASE: Final = 4  # pieces; people repeat shorter ones more than a few times in a row
MAX_RATE: Final = 6.0  # pieces per expected second of speech; synthesised "no no no" has 5


@dataclass(frozen=True, slots=True)
class Run:
    """Hold a phrase of `length` pieces that occurs `copies` times in a row from piece `start` on."""

    start: int
    length: int
    copies: int


def shortened(hypothesis: Hypothesis, evidence: AcousticEvidence, guards: FilterThresholds) -> Hypothesis:
    """Return the hypothesis with at most `guards.max_repeats` copies of a phrase in a row.

    The first copies and the last one stay, with all text around them, and so do the times of their words. A
    phrase of fewer than LONG_PHRASE pieces may occur more often if the whole text fits into the speech.
    """
    said = pieces(hypothesis.text)
    if not guards.max_repeats or len(said) <= guards.max_repeats:
        return hypothesis
    seconds = evidence.seconds if evidence.speech_seconds is None else evidence.speech_seconds
    shortest = LONG_PHRASE if len(said) <= MAX_RATE * seconds else 1
    kept, words = said, hypothesis.words
    while (run := find_run(kept, shortest, guards.max_repeats)) is not None:
        first = run.start + (guards.max_repeats - 1) * run.length
        last = run.start + (run.copies - 1) * run.length
        words = _without(words, _letters(kept[:first]), _letters(kept[:last]))
        kept = [*kept[:first], *kept[last:]]
    return hypothesis if kept is said else replace(hypothesis, text="".join(kept).strip(), words=words)


def find_run(said: Sequence[str], shortest: int, most: int) -> Run | None:
    """Return the longest run of more than `most` copies of a phrase, which does not repeat a shorter one.

    shortest: pieces of the shortest phrase that counts
    """
    plain = np.array([normalized(piece) or piece for piece in said])
    runs = []
    for length in range(shortest, MAX_PHRASE + 1):
        start, repeated = longest_repetition(plain, length)
        run = Run(start, length, repeated // length + 1)
        if run.copies > most and _is_primitive(plain[start : start + length].tolist()):
            runs.append(run)
    return max(runs, key=lambda run: run.length * run.copies, default=None)


def _is_primitive(phrase: list[str]) -> bool:
    """Return whether a phrase is not made of copies of a shorter one."""
    lengths = range(1, len(phrase) // 2 + 1)
    return not any(phrase == phrase[:length] * (len(phrase) // length) for length in lengths)


def _letters(said: Sequence[str]) -> int:
    return sum(len("".join(piece.split())) for piece in said)


def _without(words: Sequence[Word], first: int, last: int) -> tuple[Word, ...]:
    """Return the words without the letters [first, last) of their text, which is counted without spaces."""
    kept: list[Word] = []
    at = 0
    for word in words:
        letters = "".join(word.text.split())
        start, end = first - at, last - at
        left = letters[: max(0, start)] + letters[max(0, end) :]
        at += len(letters)
        if left == letters:
            kept.append(word)
        elif left:
            kept.append(replace(word, text=left))
    return tuple(kept)
