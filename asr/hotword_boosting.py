"""Boost words and phrases that are likely to occur, with a prefix tree over their tokens.

The tree is the automaton of Aho & Corasick (1975). The score of a phrase that breaks off is subtracted again,
as in shallow fusion with contextual biasing: Williams et al. 2018, Zhao et al. 2019.
"""

import re
import unicodedata
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

ROOT: Final = 0
CACHED_SPELLINGS: Final = 8  # Cached per model; the largest permitted list of hotwords takes about 30 MB.

_CONTROL: Final = re.compile(r"<(?!0x)[^<>]+>")  # Matches <pad> and <|en|>, but not the byte <0xE2>.
_WORD_MARKS: Final = ("▁", "Ġ")


class PhraseTree:
    """Score a growing sequence of tokens by the number of tokens that belong to a phrase.

    The tree is immutable. The state of a sequence is an int; `start` is the state of an empty one. A token
    scores 1 while it can be part of a phrase. A phrase is complete when the next token does not continue its
    last word, or at the end of the sequence; its score is then permanent. A phrase that breaks off loses its
    score, except for complete phrases inside it and for its end where another phrase has begun. A phrase
    inside another one counts once; of two overlapping phrases, each counts.

    phrases: token ids; no phrase is empty
    inside: tokens that continue a word
    space: token that only separates words; it scores nothing, and `start` is the state after one. None if the
        vocabulary has no such token
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
        self._fail = [ROOT]  # The state of the longest proper suffix that is in the tree.
        self._depth = [0]  # Scoring tokens from the root.
        self._risk = [0]  # Score that is not permanent yet.
        self._safe = [0]  # The part of the risk that a complete phrase would keep.
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
        """Fill the tables of the automaton.

        The order is breadth first: the fallback of a state is nearer to the root, so it is filled already.
        """
        for table in (self._fail, self._risk, self._safe):
            table.extend([0] * (len(self._next) - 1))
        longest_end = [ROOT] * len(self._next)  # The longest phrase that ends in the state.
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
        """Return the next state and the score of the token; it is negative where a phrase breaks off."""
        reached = self._fall(state, token)
        return reached, self._kept(state, token) + self._risk[reached] - self._risk[state]

    def at_risk(self, state: int) -> int:
        """Return the score that can still be lost."""
        return self._risk[state]

    def finish(self, state: int) -> int:
        """Return the score of ending the sequence: 0, or less if a phrase breaks off."""
        return self._safe[state] - self._risk[state]

    def continuations(self, state: int) -> dict[int, int]:
        """Return the tokens that continue a phrase, with the number of its tokens including this one.

        The space token is not counted.

        Tokens that begin a phrase are returned for ROOT only, although they do so in every state.
        """
        found: dict[int, int] = {}
        for level in self._levels(state):
            for token, child in self._next[level].items():
                if token != self._space:
                    found.setdefault(token, self._depth[child])
        return found

    def _levels(self, state: int) -> Iterator[int]:
        """Yield the state and its fallbacks, longest first, without the root unless it is the state."""
        yield state
        while (state := self._fail[state]) != ROOT:
            yield state


@dataclass(frozen=True, slots=True)
class Spelling:
    """Hold the tree for a list of hotwords.

    tree: None if there is nothing to boost
    complete: whether the vocabulary can express every phrase
    """

    tree: PhraseTree | None
    complete: bool


class Phrasebook:
    """Convert hotwords into trees over the tokens of a model, with a cache of CACHED_SPELLINGS trees.

    A phrase is tokenized in the case that the vocabulary has. If the vocabulary has both cases, the phrase is
    used as given and also with a capital letter. A phrase with characters outside the vocabulary is left out.

    pieces: text of each token; "" for tokens that write nothing
    space: token that only separates words; None if the vocabulary has no such token
    """

    def __init__(self, tokenizer: Any, *, blank: int) -> None:
        pieces: list[str] = [p or "" for p in tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))]
        delimiter: int | None = getattr(tokenizer, "word_delimiter_token_id", None)
        control = {token for token, piece in enumerate(pieces) if _CONTROL.fullmatch(piece)}
        self._tokenizer = tokenizer
        self._never = (control | {blank, *tokenizer.all_special_ids}) - {delimiter}
        self.space = (
            delimiter
            if delimiter is not None
            else next((token for token, piece in enumerate(pieces) if piece in _WORD_MARKS), None)
        )
        plain = {token: piece for token, piece in enumerate(pieces) if token not in self._never}
        self.pieces = [plain.get(token, "") for token in range(len(pieces))]
        self._inside = frozenset(token for token, piece in plain.items() if _continues_word(piece))
        letters = "".join(plain.values())
        self._has_lower = any(letter.islower() for letter in letters)
        self._has_upper = any(letter.isupper() for letter in letters)
        self.spell = lru_cache(CACHED_SPELLINGS)(self._spell)

    def _spell(self, hotwords: tuple[str, ...]) -> Spelling:
        phrases = [" ".join(phrase.split()) for phrase in hotwords]
        spellings = [self._tokens(self._cases(phrase)) for phrase in phrases if phrase]
        found = {tokens for each in spellings for tokens in each}
        tree = PhraseTree(sorted(found), inside=self._inside, space=self.space) if found else None
        return Spelling(tree, all(spellings))

    def _cases(self, phrase: str) -> list[str]:
        if not self._has_upper:
            return [phrase.lower()]
        if not self._has_lower:
            return [phrase.upper()]
        return [phrase, phrase[0].upper() + phrase[1:]]

    def _tokens(self, texts: list[str]) -> set[tuple[int, ...]]:
        """Return the token sequences of the texts that the vocabulary can express.

        If the first token would continue a word, the space token is put before it.
        """
        found: set[tuple[int, ...]] = set()
        for ids in self._tokenizer(texts, add_special_tokens=False)["input_ids"]:
            tokens = tuple(ids)
            while tokens and tokens[0] == self.space:
                tokens = tokens[1:]
            if tokens and self._never.isdisjoint(tokens):
                lead = (self.space,) if self.space is not None and tokens[0] in self._inside else ()
                found.add((*lead, *tokens))
        return found


def _continues_word(piece: str) -> bool:
    """Return whether a token continues the word before it.

    Letters, marks and digits do, except in scripts without spaces between words (Chinese, Japanese).
    """
    return (
        bool(piece)
        and not piece.startswith(_WORD_MARKS)
        and unicodedata.category(piece[0])[0] in "LMN"
        and unicodedata.east_asian_width(piece[0]) not in "WF"
    )
