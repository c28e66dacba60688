"""Accuracy: words held against words, and partials against what became of them."""

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
    """Whisper's for English (Radford et al. 2022, appendix C).

    spellings: British to American, a JSON file
    """

    def __init__(self, spellings: Path | None = None) -> None:
        mapping = json.loads(spellings.read_text()) if spellings else {}
        self._normalize = EnglishTextNormalizer(mapping)  # type: ignore[no-untyped-call]

    def words(self, text: str) -> list[str]:
        return str(self._normalize(text)).split()


@dataclass(frozen=True, slots=True)
class Errors:
    """Against a reference of `words` words; the fewest changes that make the one of the other."""

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
    def rate(self) -> float | None:
        """WER, 0..; None without a reference."""
        wrong = self.substitutions + self.deletions + self.insertions
        return wrong / self.words if self.words else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """first, last: whether the reference's first and last word were heard as such."""

    errors: Errors
    first: bool
    last: bool


def compare(reference: Sequence[str], heard: Sequence[str]) -> Comparison:
    """Aligns two texts, normalised before."""
    if not reference or not heard:
        return Comparison(Errors(len(reference), 0, len(reference), len(heard)), False, False)
    found = jiwer.process_words(" ".join(reference), " ".join(heard))
    equal = [(part.ref_start_idx, part.ref_end_idx) for part in found.alignments[0] if part.type == "equal"]
    errors = Errors(len(reference), found.substitutions, found.deletions, found.insertions)
    return Comparison(
        errors,
        first=any(start == 0 for start, _ in equal),
        last=any(end == len(reference) for _, end in equal),
    )


def total(comparisons: Iterable[Comparison]) -> Errors:
    return sum((each.errors for each in comparisons), Errors())


class Spoken(Protocol):
    """A final: ms of its stream, and what was said."""

    @property
    def start_ms(self) -> int: ...
    @property
    def end_ms(self) -> int: ...
    @property
    def text(self) -> str: ...


Final = TypeVar("Final", bound=Spoken)


def assign(places: Sequence[PlacedClip], finals: Sequence[Final]) -> tuple[list[list[Final]], list[Final]]:
    """For each place the finals that lie over it more than over any other, in order; and the strays."""
    rows: list[list[Final]] = [[] for _ in places]
    strays: list[Final] = []
    for final in sorted(finals, key=lambda final: final.start_ms):
        shared = [min(p.end_ms, final.end_ms) - max(p.start_ms, final.start_ms) for p in places]
        best = max(range(len(places)), key=lambda index: shared[index], default=None)
        if best is None or shared[best] <= 0:
            strays.append(final)
        else:
            rows[best].append(final)
    return rows, strays


@dataclass(frozen=True, slots=True)
class Steadiness:
    """Of what partials showed, in words.

    shown: a word counts again when it is shown in the place of another
    taken_back: of these, replaced or withdrawn by the next partial or by the final; behind the first change
    all counts (the erasure of Arivazhagan et al., Re-translation versus Streaming, 2020)
    stable: called stable in some partial; broken: of these, other in a later partial or in the final
    """

    shown: int = 0
    taken_back: int = 0
    stable: int = 0
    broken: int = 0

    def __add__(self, other: Self) -> "Steadiness":
        return Steadiness(
            self.shown + other.shown,
            self.taken_back + other.taken_back,
            self.stable + other.stable,
            self.broken + other.broken,
        )


def common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many first words are the same."""
    same = [a == b for a, b in zip(one, other, strict=False)]
    return same.index(False) if False in same else len(same)


def steadiness(partials: Sequence[tuple[Sequence[str], Sequence[str]]], final: Sequence[str]) -> Steadiness:
    """Of one utterance. partials: all words of each, and the first of them, which it called stable."""
    texts: list[Sequence[str]] = [words for words, _ in partials]
    promised = {pair for _, stable in partials for pair in enumerate(stable)}
    return Steadiness(
        shown=sum(len(new) - common(old, new) for old, new in pairwise([(), *texts])),
        taken_back=sum(len(old) - common(old, new) for old, new in pairwise([*texts, final])),
        stable=len(promised),
        broken=len(promised - set(enumerate(final))),
    )
