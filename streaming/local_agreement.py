"""Find the words of a growing hypothesis that will not change any more.

LocalAgreement-2 (Macháček et al., "Turning Whisper into Real-Time Transcription System", 2023): a word is
stable once two hypotheses in a row agree on it and on all before it.
"""

import re
from collections.abc import Sequence
from typing import Final

MAX_ALIGNED: Final = 50  # pieces; a longer disagreement is taken to be as long as the words it replaces

# Han, kana, and their punctuation: written without spaces, so each character stands for itself.
_UNSPACED: Final = "\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef"
_PIECE: Final = re.compile(rf"\s*(?:[{_UNSPACED}]|[^\s{_UNSPACED}]+)")
_PUNCTUATION: Final = re.compile(r"[\W_]+")


def pieces(text: str) -> list[str]:
    """Split a text into words, each with the space before it: joined, they are the text again."""
    return _PIECE.findall(text.strip())


def join_texts(before: str, after: str) -> str:
    """Join two texts, with a space where the script has spaces."""
    spaced = before and after and not re.search(f"[{_UNSPACED}]", before[-1] + after[0])
    return f"{before} {after}" if spaced else before + after


def matching_length(stable: Sequence[str], words: Sequence[str]) -> int:
    """Return how many of the words correspond to the stable ones; the words after them continue the text.

    Where they disagree, it is the beginning of the words that takes the fewest edits (Levenshtein) to become
    the stable ones; of several, one that ends in the same word, then the one nearest in length.
    """
    same = common_prefix_length(stable, words)
    rest = [normalized(word) for word in stable[same:]]
    if not rest or len(rest) > MAX_ALIGNED:
        return min(len(stable), len(words))
    others = [normalized(word) for word in words[same : same + 2 * len(rest) + 1]]
    row = list(range(len(others) + 1))  # edits from the first words of `rest` to each beginning of `others`
    for number, word in enumerate(rest, 1):
        diagonal, row[0] = row[0], number
        for column, other in enumerate(others, 1):
            edits = min(diagonal + (word != other), row[column] + 1, row[column - 1] + 1)
            diagonal, row[column] = row[column], edits

    def fit(length: int) -> tuple[int, bool, int]:
        return row[length], others[length - 1 : length] != rest[-1:], abs(length - len(rest))

    return same + min(range(len(row)), key=fit)


def common_prefix_length(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many words both have in common at their beginning."""
    for number, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return number
    return min(len(one), len(other))


def normalized(word: str) -> str:
    """Return the word without punctuation and case."""
    return _PUNCTUATION.sub("", word).casefold()


class LocalAgreement:
    """Keep the stable words of one utterance."""

    def __init__(self, stable: Sequence[str] = ()) -> None:
        """Begin with words that are stable already."""
        self._stable = list(stable)
        self._previous: list[str] = []

    def update(self, words: Sequence[str], settled: int | None = None) -> tuple[list[str], list[str]]:
        """Accept the words of the next hypothesis and return (stable, tail).

        settled: how many of the words the recognizer itself will not change; None if it cannot tell, so that
            agreement decides. The last word does not count then: the end of the audio may cut through it.

        The stable words never shrink or change: where a hypothesis disagrees with them, they are kept.
        """
        known = len(self._stable)
        sure = settled if settled is not None else common_prefix_length(self._previous, words[:-1])
        if sure > known and list(words[:known]) == self._stable:
            self._stable = list(words[:sure])
        self._previous = list(words)
        return list(self._stable), list(words[matching_length(self._stable, words) :])
