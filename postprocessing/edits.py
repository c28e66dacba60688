"""Change parts of a hypothesis, so that its words and their times still make up its text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from asr.recognizer import Hypothesis, Word
from asr.word_spans import text_before_words


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the characters [start, end) of a text."""

    start: int
    end: int
    text: str


def edited(hypothesis: Hypothesis, edits: Iterable[Edit]) -> Hypothesis:
    """Return the hypothesis with all edits; of overlapping ones the first, and of these the longest.

    The words that an edit touches become one word with their time and their lowest confidence. Words that do
    not make up the text are left out, because they may hold what was replaced.
    """
    chosen = _without_overlaps(edits)
    if not chosen:
        return hypothesis
    return replace(
        hypothesis,
        text=" ".join(_spliced(hypothesis.text, chosen, 0, len(hypothesis.text)).split()),
        words=tuple(_words(hypothesis.text, hypothesis.words, chosen)),
        stable_chars=None,
    )


def _without_overlaps(edits: Iterable[Edit]) -> list[Edit]:
    chosen: list[Edit] = []
    for edit in sorted(edits, key=lambda edit: (edit.start, -edit.end)):
        if edit.start < edit.end and (not chosen or edit.start >= chosen[-1].end):
            chosen.append(edit)
    return chosen


def _spliced(text: str, edits: Sequence[Edit], start: int, end: int) -> str:
    """Return the characters [start, end) of a text after the edits, which lie inside of them."""
    parts = []
    for edit in edits:
        parts += [text[start : edit.start], edit.text]
        start = edit.end
    return "".join([*parts, text[start:end]])


def _words(text: str, words: Sequence[Word], edits: Sequence[Edit]) -> list[Word]:
    pieces = text_before_words(text, words)
    if pieces is None:
        return []
    edges = [*pairwise([0, *accumulate(map(len, pieces))])]
    made: list[Word] = []
    number, place = 0, 0  # of the next word and the next edit
    while number < len(words):
        first, end, mine = number, edges[number][1], []
        number += 1
        # The edits that touch the word, and the words that these touch.
        while place < len(edits) and edits[place].start < end:
            mine.append(edits[place])
            place += 1
            while number < len(words) and mine[-1].end > edges[number][0] + _margin(pieces[number]):
                end = edges[number][1]
                number += 1
        made.extend(
            _merged(words[first:number], _spliced(text, mine, edges[first][0], end) if mine else None)
        )
    return made


def _margin(piece: str) -> int:
    """Return the number of spaces before a word, which may belong to the piece of the first one."""
    return len(piece) - len(piece.lstrip())


def _merged(words: Sequence[Word], text: str | None) -> list[Word]:
    """Return the words as one with this text, or as they are; no word if the text is empty."""
    if text is None:
        return list(words)
    if not text.strip():
        return []
    known = [word.confidence for word in words if word.confidence is not None]
    lowest = min(known) if known else None
    return [replace(words[0], text=" ".join(text.split()), end=words[-1].end, confidence=lowest)]
