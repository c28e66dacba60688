"""Turn decoded tokens with times into words and hypotheses."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from asr.recognizer import Hypothesis, Word


@dataclass(frozen=True, slots=True)
class TimedToken:
    """Hold an emitted token.

    start, end: samples of the stream
    log_prob: natural logarithm of the probability
    """

    id: int
    start: int
    end: int
    log_prob: float


def mean_log_prob(tokens: Sequence[TimedToken]) -> float | None:
    """Return the mean natural log-probability of the tokens; None without tokens."""
    return math.fsum(token.log_prob for token in tokens) / len(tokens) if tokens else None


def confidence(tokens: Sequence[TimedToken]) -> float | None:
    """Return exp of the mean log-probability, 0..1; None without tokens."""
    mean = mean_log_prob(tokens)
    return None if mean is None else math.exp(mean)


_SENTENCE_ENDS: Final = (".", "\u3002", "\u0964")  # Latin, Chinese and Japanese, and Indic scripts


class TokenDecoder:
    """Convert token ids into text, and tokens into words.

    A word begins after the tokenizer's word delimiter (character vocabularies), or at a token that begins
    with the mark for a space: ▁ of sentencepiece, Ġ of byte-level BPE.
    """

    def __init__(self, tokenizer: Any, **decode_options: Any) -> None:
        self._tokenizer = tokenizer
        self._options = decode_options
        self._delimiter: int | None = getattr(tokenizer, "word_delimiter_token_id", None)
        self._special = frozenset(tokenizer.all_special_ids) - {self._delimiter}
        self._pieces: list[str] = [
            piece or "" for piece in tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        ]

    @property
    def has_punctuation(self) -> bool:
        """Return whether the vocabulary can end a sentence; else its model writes bare words."""
        special = self._special
        return any(
            piece.endswith(_SENTENCE_ENDS) for id, piece in enumerate(self._pieces) if id not in special
        )

    def decode_text(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, with single spaces and without special tokens."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True, **self._options)
        return " ".join(text.split())

    def hypothesis(
        self, *parts: Sequence[TimedToken], words: bool, ignored: tuple[str, ...] = ()
    ) -> Hypothesis:
        """Build a hypothesis from the tokens of a clip.

        parts: tokens of successive parts of the clip; a word does not continue from one part into the next
        words: whether to include the words
        ignored: names of the options that the model does not support
        """
        kept = [[token for token in part if token.id not in self._special] for part in parts]
        text = " ".join(filter(None, (self.decode_text([token.id for token in part]) for part in kept)))
        tokens = [token for part in kept for token in part] if text else []
        return Hypothesis(
            text=text,
            words=tuple(word for part in kept for word in self.words(part)) if words else (),
            confidence=confidence(tokens),
            avg_log_prob=mean_log_prob(tokens),
            ignored=ignored,
        )

    def words(self, tokens: Sequence[TimedToken]) -> tuple[Word, ...]:
        """Group tokens into words.

        Words never overlap. Tokens can, because two can be emitted at one frame.
        """
        groups = [(self.decode_text([token.id for token in group]), group) for group in self._groups(tokens)]
        spelled = [(text, group) for text, group in groups if text]
        ends = [self._end(group) for _, group in spelled]
        starts = [group[0].start for _, group in spelled]
        return tuple(
            Word(text, start, min(end, following), confidence(group))
            for (text, group), start, end, following in zip(
                spelled, starts, ends, [*starts[1:], *ends[-1:]], strict=True
            )
        )

    def _groups(self, tokens: Sequence[TimedToken]) -> list[list[TimedToken]]:
        groups: list[list[TimedToken]] = []
        is_start = True
        for token in tokens:
            if token.id == self._delimiter:
                is_start = True
                continue
            if is_start or self._pieces[token.id].startswith(("▁", "Ġ")):
                groups.append([])
            groups[-1].append(token)
            is_start = False
        return groups

    def _end(self, group: Sequence[TimedToken]) -> int:
        """Return the sample where a word ends.

        Punctuation is not counted, because it is often emitted in the silence after its word.
        """
        voiced = [token for token in group if any(c.isalnum() for c in self._pieces[token.id])]
        return (voiced or group)[-1].end
