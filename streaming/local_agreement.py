"""Stabilizer: which words of a growing hypothesis will not change any more.

LocalAgreement-2 (Macháček et al., "Turning Whisper into Real-Time Transcription System", 2023): a word is
stable once two hypotheses in a row agree on it and on all before it.
"""

import re
from collections.abc import Sequence
from typing import Final

MOST_ALIGNED: Final = (
    50  # pieces; what disagrees over more than that is taken to be as long as what it replaces
)

# Han, kana, and their punctuation: written without spaces, so each character stands for itself.
_UNSPACED: Final = "\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef"
_PIECE: Final = re.compile(rf"\s*(?:[{_UNSPACED}]|[^\s{_UNSPACED}]+)")
_BARE: Final = re.compile(r"[\W_]+")


def pieces(text: str) -> list[str]:
    """The words of a text, each with the space before it: joined, they are the text again."""
    return _PIECE.findall(text.strip())


def joined(before: str, after: str) -> str:
    """Two stretches of text as one."""
    spaced = before and after and not re.search(f"[{_UNSPACED}]", before[-1] + after[0])
    return f"{before} {after}" if spaced else before + after


def behind(stable: Sequence[str], words: Sequence[str]) -> int:
    """How many of the words say what the stable ones say: those behind them go on from there.

    Where they disagree it is the beginning of the words that takes the fewest edits (Levenshtein) to become
    the stable ones; of several one that ends in the same word, then the one nearest in length.
    """
    same = agreement(stable, words)
    rest = [_bare(word) for word in stable[same:]]
    if not rest or len(rest) > MOST_ALIGNED:
        return min(len(stable), len(words))
    others = [_bare(word) for word in words[same : same + 2 * len(rest) + 1]]
    row = list(range(len(others) + 1))  # edits from the first words of `rest` to each beginning of `others`
    for number, word in enumerate(rest, 1):
        diagonal, row[0] = row[0], number
        for column, other in enumerate(others, 1):
            edits = min(diagonal + (word != other), row[column] + 1, row[column - 1] + 1)
            diagonal, row[column] = row[column], edits

    def fit(length: int) -> tuple[int, bool, int]:
        return row[length], others[length - 1 : length] != rest[-1:], abs(length - len(rest))

    return same + min(range(len(row)), key=fit)


def agreement(one: Sequence[str], other: Sequence[str]) -> int:
    """How many words both begin with."""
    for number, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return number
    return min(len(one), len(other))


def _bare(word: str) -> str:
    """Case and signs do not make another word."""
    return _BARE.sub("", word).casefold()


class LocalAgreement:
    """One utterance's stable words."""

    def __init__(self, stable: Sequence[str] = ()) -> None:
        self._stable = list(stable)
        self._previous: list[str] = []

    def update(self, words: Sequence[str], settled: int | None = None) -> tuple[list[str], list[str]]:
        """Takes the words of the next hypothesis; returns (stable, tail).

        settled: how many of the words the recognizer itself will not change; None where it cannot tell, and
            agreement decides. The last word does not count: the end of the sound may cut through it.

        Stable never shrinks and never changes; where the hypothesis disagrees with it, stable wins.
        """
        known = len(self._stable)
        sure = settled if settled is not None else agreement(self._previous, words[:-1])
        if sure > known and list(words[:known]) == self._stable:
            self._stable = list(words[:sure])
        self._previous = list(words)
        return list(self._stable), list(words[behind(self._stable, words) :])
