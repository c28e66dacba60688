"""Decide how long a silence must last to end an utterance, given the text or the audio before it.

Silence alone is a poor criterion: people pause in the middle of a sentence and wait at the end of one.
"""

import re
from dataclasses import dataclass
from typing import Final, Protocol

from audio.clip import HOP, samples_from_ms

MIN_SILENCE: Final = samples_from_ms(200)
MAX_SILENCE: Final = samples_from_ms(1_200)
COMPLETE_FROM: Final = 0.5  # least probability of a complete turn


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


# English words that do not end a sentence, or after which more words follow.
_NON_FINAL_WORDS: Final = _words(
    "a an the and but or nor so because if when while that which who whose although though unless until than",
    "as to of in on at by for from with into about between my your his her its our their",
    "is are was were am be been um uh er erm hmm like just very really please",
)
_DIGITS: Final = _words("zero oh one two three four five six seven eight nine ten")
_SENTENCE_END: Final = re.compile("[.?!\u3002\uff1f\uff01]$")
_CONTINUATION: Final = re.compile("[,;:\u2013\u2026-]$|[.][.][.]$")


class EndpointPolicy(Protocol):
    """Decide how long a pause may last. Implementations are pure functions of their arguments."""

    def min_silence(self, default: int) -> int | None:
        """Return the shortest silence, in samples, that any text can require; the text must be known by then.

        Returns None if the text does not matter.
        """
        ...

    def silence(self, text: str, default: int) -> int:
        """Return the silence, in samples, that ends an utterance with this text so far.

        default: the samples of `vad.silence_ms`
        """
        ...


@dataclass(frozen=True, slots=True)
class FixedSilence:
    """Require the default silence after any text."""

    def min_silence(self, default: int) -> None:
        return None

    def silence(self, text: str, default: int) -> int:
        return default


@dataclass(frozen=True, slots=True)
class AdaptiveSilence:
    """Require less silence after a text that reads finished, and more after one that does not.

    shortest, longest: bounds, in samples
    """

    shortest: int = MIN_SILENCE
    longest: int = MAX_SILENCE

    def min_silence(self, default: int) -> int:
        return min(self.shortest, default)

    def silence(self, text: str, default: int) -> int:
        shortest, longest = min(self.shortest, default), max(self.longest, default)
        if reads_unfinished(text):
            return longest
        return shortest if _SENTENCE_END.search(text) else default


@dataclass(frozen=True, slots=True)
class ModelSilence:
    """Require less silence if a model judges the turn complete, and more if it does not.

    While the model has not answered, and if it fails, the default silence counts.

    shortest, longest: bounds, in samples
    """

    shortest: int = MIN_SILENCE
    longest: int = MAX_SILENCE

    def min_silence(self, default: int) -> None:
        return None

    def silence(self, text: str, default: int) -> int:
        return default

    def question_silence(self, default: int) -> int:
        """Return the silence, in samples, after which the model is asked: a hop before it can end a turn."""
        hops = -(-min(self.shortest, default) // HOP)
        return (hops - 1) * HOP

    def judged_silence(self, probability: float, default: int) -> int:
        """Return the silence, in samples, that ends an utterance whose turn is complete so probably."""
        if probability >= COMPLETE_FROM:
            return min(self.shortest, default)
        return max(self.longest, default)


def reads_unfinished(text: str) -> bool:
    """Return whether a text ends in a word or mark that more words follow, or within a number read out."""
    words = [word.strip(".,;:?!").lower() for word in text.split()]
    if not words:
        return False
    if _CONTINUATION.search(text) or (words[-1] in _NON_FINAL_WORDS and not _SENTENCE_END.search(text)):
        return True
    return len(words) >= 2 and all(_is_digit(word) for word in words[-2:])


def _is_digit(word: str) -> bool:
    return word in _DIGITS or (word.isdigit() and len(word) <= 2)
