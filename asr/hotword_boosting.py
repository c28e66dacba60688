"""Phrase boosting: a tree of words and phrases that are likely to occur, and how far each has been said.

The tree is the automaton of Aho & Corasick (1975). What a phrase has earned is taken back where it breaks
off, as in shallow fusion with contextual biasing: Williams et al. 2018, Zhao et al. 2019.
"""

import re
import unicodedata
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

ROOT: Final = 0
SPELLINGS: Final = 8  # remembered by each model; one of the most and longest hotwords has some 30 MB

_CONTROL: Final = re.compile(r"<(?!0x)[^<>]+>")  # <pad>, <|en|>; not <0xE2>, a byte
_WORD_MARKS: Final = ("▁", "Ġ")


class PhraseTree:
    """Follows a growing sequence of tokens, and counts those that belong to a phrase.

    It never changes; the state of a sequence is an int, and start that of an empty one. A token earns 1 while
    a phrase may still come of it. A phrase is complete when it is followed by a token that does not go on its
    last word, or by the end: then it keeps what it earned. A phrase that breaks off gives all back, but for
    what complete phrases in it have earned, and for its end where another phrase has begun. A phrase inside
    of another counts once; of two that overlap, each counts.

    phrases: token ids, none empty; inside: tokens that go on a word; space: a token that only parts words: it
    earns nothing, and the start stands behind one.
    """

    def __init__(
        self,
        phrases: Iterable[Sequence[int]],
        *,
        inside: frozenset[int] = frozenset(),
        space: int | None = None,
    ) -> None:
        self._inside = inside
        self._space = space
        self._next: list[dict[int, int]] = [{}]
        self._fail = [ROOT]  # the longest other state that the same tokens end with
        self._depth = [0]  # tokens that earn, from the root
        self._risk = [0]  # earned, and not yet safe
        self._safe = [0]  # of the risk, what a complete phrase keeps
        ends = {self._insert(phrase) for phrase in phrases}
        self._link(ends)
        self.start = ROOT if space is None else self.advance(ROOT, space)[0]

    def _insert(self, phrase: Sequence[int]) -> int:
        state = ROOT
        for token in phrase:
            if token not in self._next[state]:
                self._next[state][token] = len(self._next)
                self._next.append({})
                self._depth.append(self._depth[state] + (token != self._space))
            state = self._next[state][token]
        return state

    def _link(self, ends: set[int]) -> None:
        """Breadth first: what a state falls back to is nearer to the root, and done before it."""
        for table in (self._fail, self._risk, self._safe):
            table.extend([0] * (len(self._next) - 1))
        longest_end = [ROOT] * len(self._next)  # the longest phrase that ends here
        queue = deque([ROOT])
        while queue:
            parent = queue.popleft()
            for token, state in self._next[parent].items():
                if parent != ROOT:
                    self._fail[state] = self._fall(self._fail[parent], token)
                self._risk[state] = self._risk[parent] - self._kept(parent, token) + (token != self._space)
                longest_end[state] = state if state in ends else longest_end[self._fail[state]]
                self._safe[state] = min(self._risk[state], self._risk[longest_end[state]])
                queue.append(state)

    def _fall(self, state: int, token: int) -> int:
        while state != ROOT and token not in self._next[state]:
            state = self._fail[state]
        return self._next[state].get(token, ROOT)

    def _kept(self, state: int, token: int) -> int:
        return 0 if token in self._inside else self._safe[state]

    def advance(self, state: int, token: int) -> tuple[int, int]:
        """The next state, and what the token earns; less than nothing where a phrase breaks off."""
        reached = self._fall(state, token)
        return reached, self._kept(state, token) + self._risk[reached] - self._risk[state]

    def at_risk(self, state: int) -> int:
        """What was earned and may still be taken back."""
        return self._risk[state]

    def finish(self, state: int) -> int:
        """What the end of the sequence earns: 0, or less where it breaks off a phrase."""
        return self._safe[state] - self._risk[state]

    def continuations(self, state: int) -> dict[int, int]:
        """The tokens that go on a phrase, and how many of its tokens are then said, the space not counted.

        Those that begin a phrase are told of ROOT only, though they do so in every state.
        """
        found: dict[int, int] = {}
        for level in self._levels(state):
            for token, child in self._next[level].items():
                if token != self._space:
                    found.setdefault(token, self._depth[child])
        return found

    def _levels(self, state: int) -> Iterator[int]:
        """The state and those it falls back to, longest first."""
        yield state
        while (state := self._fail[state]) != ROOT:
            yield state


@dataclass(frozen=True, slots=True)
class Spelling:
    """Hotwords as tokens. tree: None where there is nothing to boost; whole: no phrase had to be left out."""

    tree: PhraseTree | None
    whole: bool


class Phrasebook:
    """Spells hotwords in the tokens of a model. Pure but for a memory of the last SPELLINGS of them.

    A phrase is spelled as the tokenizer does it, in the case that the vocabulary has; where it has both, as
    it was given and with a capital. A phrase with characters outside of the vocabulary is left out.
    """

    def __init__(self, tokenizer: Any, *, blank: int) -> None:
        pieces: list[str] = [p or "" for p in tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))]
        delimiter: int | None = getattr(tokenizer, "word_delimiter_token_id", None)
        control = {token for token, piece in enumerate(pieces) if _CONTROL.fullmatch(piece)}
        self._tokenizer = tokenizer
        self._never = (control | {blank, *tokenizer.all_special_ids}) - {delimiter}
        self._space = (
            delimiter
            if delimiter is not None
            else next((token for token, piece in enumerate(pieces) if piece in _WORD_MARKS), None)
        )
        plain = {token: piece for token, piece in enumerate(pieces) if token not in self._never}
        self._inside = frozenset(token for token, piece in plain.items() if _goes_on_a_word(piece))
        letters = "".join(plain.values())
        self._has_lower = any(letter.islower() for letter in letters)
        self._has_upper = any(letter.isupper() for letter in letters)
        self.spell = lru_cache(SPELLINGS)(self._spell)

    def _spell(self, hotwords: tuple[str, ...]) -> Spelling:
        phrases = [" ".join(phrase.split()) for phrase in hotwords]
        spellings = [self._tokens(self._cases(phrase)) for phrase in phrases if phrase]
        found = {tokens for each in spellings for tokens in each}
        tree = PhraseTree(sorted(found), inside=self._inside, space=self._space) if found else None
        return Spelling(tree, all(spellings))

    def _cases(self, phrase: str) -> list[str]:
        if not self._has_upper:
            return [phrase.lower()]
        if not self._has_lower:
            return [phrase.upper()]
        return [phrase, phrase[0].upper() + phrase[1:]]

    def _tokens(self, texts: list[str]) -> set[tuple[int, ...]]:
        """A phrase that begins inside of a word, for the tokenizer, is asked for behind a space."""
        found: set[tuple[int, ...]] = set()
        for ids in self._tokenizer(texts, add_special_tokens=False)["input_ids"]:
            tokens = tuple(ids)
            while tokens and tokens[0] == self._space:
                tokens = tokens[1:]
            if tokens and self._never.isdisjoint(tokens):
                lead = (self._space,) if self._space is not None and tokens[0] in self._inside else ()
                found.add((*lead, *tokens))
        return found


def _goes_on_a_word(piece: str) -> bool:
    """Letters, marks and digits do, but not in scripts without spaces between words (Chinese, Japanese)."""
    return (
        bool(piece)
        and not piece.startswith(_WORD_MARKS)
        and unicodedata.category(piece[0])[0] in "LMN"
        and unicodedata.east_asian_width(piece[0]) not in "WF"
    )
