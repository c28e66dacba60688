"""Decide how long a silence must last to end an utterance, given the text before it.

Silence alone is a poor criterion: people pause in the middle of a sentence and wait at the end of one. A
learned model of the end of a turn can take the place of these rules: it reads the eager transcription.
"""

import re
from dataclasses import dataclass
from typing import Final, Protocol

from audio.clip import samples_from_ms

MIN_SILENCE: Final = samples_from_ms(200)
MAX_SILENCE: Final = samples_from_ms(1_200)


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


# English words that do not end a sentence, or after which more words follow.
_DANGLING: Final = _words(
    "a an the and but or nor so because if when while that which who whose although though unless until than",
    "as to of in on at by for from with into about between my your his her its our their",
    "is are was were am be been um uh er erm hmm like just very really please",
)
_DIGITS: Final = _words("zero oh one two three four five six seven eight nine ten")
_FINISHED: Final = re.compile("[.?!\u3002\uff1f\uff01]$")
_GOES_ON: Final = re.compile("[,;:\u2013\u2026-]$|[.][.][.]$")


class EndpointPolicy(Protocol):
    """Decide how long a pause may last. Implementations are pure functions of their arguments."""

    def earliest(self, usual: int) -> int | None:
        """Return the shortest silence, in samples, that any text can require; the text must be known by then.

        Returns None if the text does not matter.
        """
        ...

    def silence(self, text: str, usual: int) -> int:
        """Return the silence, in samples, that ends an utterance with this text so far.

        usual: the samples of `vad.silence_ms`
        """
        ...


@dataclass(frozen=True, slots=True)
class FixedSilence:
    """Require the usual silence after any text."""

    def earliest(self, usual: int) -> None:
        return None

    def silence(self, text: str, usual: int) -> int:
        return usual


@dataclass(frozen=True, slots=True)
class AdaptiveSilence:
    """Require less silence after a text that reads finished, and more after one that does not.

    shortest, longest: bounds, in samples
    """

    shortest: int = MIN_SILENCE
    longest: int = MAX_SILENCE

    def earliest(self, usual: int) -> int:
        return min(self.shortest, usual)

    def silence(self, text: str, usual: int) -> int:
        shortest, longest = min(self.shortest, usual), max(self.longest, usual)
        if reads_unfinished(text):
            return longest
        return shortest if _FINISHED.search(text) else usual


def reads_unfinished(text: str) -> bool:
    """Return whether a text ends in a word or mark that more words follow, or within a number read out."""
    words = [word.strip(".,;:?!").lower() for word in text.split()]
    if not words:
        return False
    if _GOES_ON.search(text) or (words[-1] in _DANGLING and not _FINISHED.search(text)):
        return True
    return len(words) >= 2 and all(_is_digit(word) for word in words[-2:])


def _is_digit(word: str) -> bool:
    return word in _DIGITS or (word.isdigit() and len(word) <= 2)
