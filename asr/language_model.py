"""Score words with an n-gram language model in the ARPA format, read by KenLM (Heafield 2011).

KenLM is part of the optional package flashlight-text.
"""

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from asr.errors import ModelUnavailable

MODULE: Final = "flashlight"  # of the extra `beam`
UNKNOWN: Final = "<unk>"
# Weights of shallow fusion; the values are the defaults of pyctcdecode.
WEIGHT: Final = 0.5 * math.log(10)  # of the language model's log10, in nats
WORD_NATS: Final = 1.5  # for each word, since the language model favours few words
UNKNOWN_NATS: Final = -10 * WEIGHT  # for each word that the language model does not know

_WORD_MARKS: Final = ("▁", "Ġ")


class LanguageModel:
    """Hold an n-gram model of words.

    Words are compared without regard to case and to punctuation around them.
    """

    def __init__(self, path: Path) -> None:
        """Load a file in the ARPA format. Raises ModelUnavailable."""
        if find_spec(MODULE) is None:
            raise ModelUnavailable(
                f"the language model {path} needs the package of the extra `beam`: poetry install -E beam"
            )
        from flashlight.lib.text.decoder.kenlm import KenLM
        from flashlight.lib.text.dictionary import Dictionary

        try:
            words = [*dict.fromkeys((*words_of(path), UNKNOWN))]
        except (OSError, UnicodeDecodeError, ValueError) as error:
            raise ModelUnavailable(f"the language model {path} cannot be read: {error}") from error
        self._indices: dict[str, int] = {}
        for index, word in enumerate(words):
            self._indices.setdefault(_plain(word), index)
        self._unknown = self._indices[UNKNOWN]
        try:
            self._model = KenLM(str(path), Dictionary(words))
        except RuntimeError as error:
            raise ModelUnavailable(f"the language model {path} cannot be read: {error}") from error

    def start(self) -> Any:
        """Return the state before the first word; a clip may begin inside a sentence."""
        return self._model.start(True)

    def score(self, state: Any, word: str) -> tuple[Any, float]:
        """Return the state after a word, and the score of the word in nats."""
        plain = _plain(word)
        if not plain:  # only punctuation
            return state, 0.0
        index = self._indices.get(plain, self._unknown)
        following, log10 = self._model.score(state, index)
        return following, WEIGHT * log10 + WORD_NATS + (UNKNOWN_NATS if index == self._unknown else 0.0)


@dataclass(frozen=True, slots=True)
class WordState:
    """Hold what a path has written: the number of a state of the language model, and the open word."""

    words: int
    open: str = ""


class WordScorer:
    """Score the words of the paths of one search, token by token.

    pieces: text of each token; "" for tokens that write nothing
    space: token that only separates words; None if the vocabulary has none

    A word begins after the space, or at a piece that begins with the mark for a space (▁, Ġ). It is scored
    once it has ended.
    """

    def __init__(self, model: LanguageModel, pieces: Sequence[str], space: int | None) -> None:
        self._model = model
        self._pieces = pieces
        self._space = space
        self._states = [model.start()]
        self._known: dict[tuple[int, str], tuple[int, float]] = {}
        self.start = WordState(0)

    def advance(self, state: WordState, token: int) -> tuple[WordState, float]:
        """Return the next state and the score of the token in nats."""
        if token == self._space:
            return self._ended(state)
        piece = self._pieces[token]
        if piece.startswith(_WORD_MARKS):
            ended, score = self._ended(state)
            return WordState(ended.words, piece[1:]), score
        return WordState(state.words, state.open + piece), 0.0

    def finish(self, state: WordState) -> float:
        """Return the score of ending the clip in nats: that of the open word."""
        return self._ended(state)[1]

    def _ended(self, state: WordState) -> tuple[WordState, float]:
        if not state.open:
            return state, 0.0
        key = state.words, state.open
        if key not in self._known:
            following, score = self._model.score(self._states[state.words], state.open)
            self._known[key] = len(self._states), score
            self._states.append(following)
        words, score = self._known[key]
        return WordState(words), score


def words_of(path: Path) -> Iterator[str]:
    """Yield the words of a language model in the ARPA format. Raises ValueError if it is in another one."""
    with path.open(encoding="utf-8") as file:
        lines = (line.strip() for line in file)
        if next(filter(None, lines), "") != "\\data\\":
            raise ValueError("it is no ARPA file, which begins with \\data\\")
        for line in lines:
            if line == "\\1-grams:":
                break
        for line in lines:
            if line.startswith("\\"):
                return
            if line:
                yield line.split()[1]
    raise ValueError("it has no 1-grams, or ends in them")


def _plain(word: str) -> str:
    """Return a word in lower case, without punctuation around it."""
    text = unicodedata.normalize("NFC", word).lower()
    return text.strip("".join(char for char in text if unicodedata.category(char)[0] == "P"))
