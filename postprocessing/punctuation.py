"""Read the labels of a model that restores punctuation and capitals, and apply them to bare words. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from asr.errors import UnsupportedModel

MARKS: Final = frozenset(".,?!:;")
# Marks that would join words or begin a new one: they are read, and left out.
UNUSED_MARKS: Final = frozenset("-'%")
SENTENCE_ENDS: Final = frozenset(".?!")
_NOTHING: Final = "O"  # no mark, and no capital
_PLAIN_NOTHING: Final = ("0", "O", "")  # no mark, in a scheme without capitals


@dataclass(frozen=True, slots=True)
class WordLabel:
    """Say what a model wants for a word.

    mark: what follows it; "" for nothing
    capital: whether it begins with a capital; None if the model does not say
    """

    mark: str = ""
    capital: bool | None = None


@dataclass(frozen=True, slots=True)
class Scheme:
    """Hold the labels of a model, by number.

    has_capitals: whether the labels say which words begin with a capital
    """

    labels: tuple[WordLabel, ...]
    has_capitals: bool


@dataclass(frozen=True, slots=True)
class Window:
    """Name a part of a text for one pass of the model, in numbers of words.

    first, end: the words that the model reads
    kept, kept_end: those whose labels are used: words at an edge inside of a text lack context
    """

    first: int
    end: int
    kept: int
    kept_end: int


def scheme_of(names: Sequence[str]) -> Scheme:
    """Return what the names of labels mean. Raises UnsupportedModel for any other scheme.

    Two schemes are known. A name is a mark or nothing (`0`, `.`, `,` …, as in oliverguhr/fullstop-… and
    kredor/punctuate-all), or a mark and a case, each `O` for nothing (`OO`, `,U` …, as in
    felflare/bert-restore-punctuation).
    """
    if all(len(name) == 2 and name[0] in MARKS | UNUSED_MARKS | {_NOTHING} for name in names) and all(
        name[1] in "OU" for name in names
    ):
        return Scheme(tuple(WordLabel(_mark(name[0]), name[1] == "U") for name in names), True)
    if all(name in _PLAIN_NOTHING or name in MARKS | UNUSED_MARKS for name in names):
        return Scheme(tuple(WordLabel(_mark(name)) for name in names), False)
    raise UnsupportedModel(f"its labels are no punctuation that is known: {', '.join(names)[:200]}")


def windows(sizes: Sequence[int], most: int, overlap: int) -> list[Window]:
    """Return windows over a text so that each word has the label of one of them.

    sizes: number of tokens of each word, each at most `most`
    most: tokens of a window
    overlap: words that two windows share; fewer, where words are long
    """
    found: list[Window] = []
    first = 0
    while not found or found[-1].end < len(sizes):
        end, tokens = first, 0
        while end < len(sizes) and tokens + sizes[end] <= most:
            tokens, end = tokens + sizes[end], end + 1
        if end == first:
            raise ValueError(f"a word has {sizes[first]} tokens, more than a window")
        shared = found[-1].end - first if found else 0
        kept = first + shared // 2
        if found:
            before = found[-1]
            found[-1] = Window(before.first, before.end, before.kept, kept)
        found.append(Window(first, end, kept, end))
        first = max(first + 1, end - overlap)
    return found


def punctuated(words: Sequence[str], labels: Sequence[WordLabel], *, english: bool = False) -> list[str]:
    """Return the words with marks and capitals; words in capitals only are taken for bare words, too.

    Where the labels say nothing of capitals, the first word of the text and of each sentence has one, and in
    English the word "I".
    """
    is_upper = not any(char.islower() for word in words for char in word)
    written: list[str] = []
    begins = True
    for word, label in zip(words, labels, strict=True):
        bare = word.lower() if is_upper else word
        is_pronoun = english and bare.partition("'")[0] == "i"
        capital = begins or is_pronoun if label.capital is None else label.capital
        written.append((_capitalized(bare) if capital else bare) + label.mark)
        begins = label.mark in SENTENCE_ENDS if label.mark else False
    return written


def _mark(name: str) -> str:
    return name if name in MARKS else ""


def _capitalized(word: str) -> str:
    """Return the word with its first letter in upper case; the others stay."""
    return word[:1].upper() + word[1:]
