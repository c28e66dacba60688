"""Measure word errors between texts, and how stable partials are."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol, Self, TypeVar

import jiwer
from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

from bench.accuracy.corpus import PlacedClip


class Normalizer:
    """Normalise English text as Whisper's evaluation does (Radford et al. 2022, appendix C).

    spellings: a JSON file that maps British spellings to American ones
    """

    def __init__(self, spellings: Path | None = None) -> None:
        mapping = json.loads(spellings.read_text()) if spellings else {}
        self._normalize = EnglishTextNormalizer(mapping)  # type: ignore[no-untyped-call]

    def words(self, text: str) -> list[str]:
        """Return the normalised words of a text."""
        return str(self._normalize(text)).split()


@dataclass(frozen=True, slots=True)
class Errors:
    """Count the fewest word changes that turn a reference of `words` words into a hypothesis."""

    words: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    def __add__(self, other: Self) -> "Errors":
        return Errors(
            self.words + other.words,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )

    @property
    def wrong(self) -> int:
        """The number of word changes."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float | None:
        """The word error rate as a fraction, which may exceed 1; None without reference words."""
        return self.wrong / self.words if self.words else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Hold the errors of one text.

    first, last: whether the first and the last word of the reference were recognized
    """

    errors: Errors
    first: bool
    last: bool


def compare(reference: Sequence[str], hypothesis: Sequence[str]) -> Comparison:
    """Align two texts, given as normalised words, and count the errors."""
    if not reference or not hypothesis:
        return Comparison(Errors(len(reference), 0, len(reference), len(hypothesis)), False, False)
    found = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
    equal = [(part.ref_start_idx, part.ref_end_idx) for part in found.alignments[0] if part.type == "equal"]
    errors = Errors(len(reference), found.substitutions, found.deletions, found.insertions)
    return Comparison(
        errors,
        first=any(start == 0 for start, _ in equal),
        last=any(end == len(reference) for _, end in equal),
    )


def total(comparisons: Iterable[Comparison]) -> Errors:
    """Add up the errors of all comparisons."""
    return sum((each.errors for each in comparisons), Errors())


class TimedText(Protocol):
    """Define what `assign` needs of a final: its times in ms of the stream, and its text."""

    @property
    def start_ms(self) -> int: ...
    @property
    def end_ms(self) -> int: ...
    @property
    def text(self) -> str: ...


Timed = TypeVar("Timed", bound=TimedText)


def assign(places: Sequence[PlacedClip], finals: Sequence[Timed]) -> tuple[list[list[Timed]], list[Timed]]:
    """Assign each final to the place that it overlaps most.

    Returns the finals of each place in order of time, and the finals that overlap no place.
    """
    rows: list[list[Timed]] = [[] for _ in places]
    strays: list[Timed] = []
    for final in sorted(finals, key=lambda final: final.start_ms):
        shared = [min(p.end_ms, final.end_ms) - max(p.start_ms, final.start_ms) for p in places]
        best = max(range(len(places)), key=lambda index: shared[index], default=None)
        if best is None or shared[best] <= 0:
            strays.append(final)
        else:
            rows[best].append(final)
    return rows, strays


@dataclass(frozen=True, slots=True)
class PartialStability:
    """Count the words that partials showed, and those that changed later.

    shown: words shown, each again whenever it replaces another word
    taken_back: shown words that the next partial or the final replaced or removed, with all words after the
    first change (the erasure of Arivazhagan et al., Re-translation versus Streaming, 2020)
    stable: words that some partial called stable; broken: stable words that a later text changed
    """

    shown: int = 0
    taken_back: int = 0
    stable: int = 0
    broken: int = 0

    def __add__(self, other: Self) -> "PartialStability":
        return PartialStability(
            self.shown + other.shown,
            self.taken_back + other.taken_back,
            self.stable + other.stable,
            self.broken + other.broken,
        )


def common_prefix(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many leading words are the same."""
    same = [a == b for a, b in zip(one, other, strict=False)]
    return same.index(False) if False in same else len(same)


def partial_stability(
    partials: Sequence[tuple[Sequence[str], Sequence[str]]], final: Sequence[str]
) -> PartialStability:
    """Measure the stability of the partials of one utterance.

    partials: for each partial all its words, and the leading words that it called stable
    """
    texts: list[Sequence[str]] = [words for words, _ in partials]
    promised = {pair for _, stable in partials for pair in enumerate(stable)}
    return PartialStability(
        shown=sum(len(new) - common_prefix(old, new) for old, new in pairwise([(), *texts])),
        taken_back=sum(len(old) - common_prefix(old, new) for old, new in pairwise([*texts, final])),
        stable=len(promised),
        broken=len(promised - set(enumerate(final))),
    )
