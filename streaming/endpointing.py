"""Turns: how long a silence must last to end an utterance, given what was said before it.

Silence alone is a poor judge: people pause in the middle of a sentence, and wait at the end of one. A learned
model of the end of a turn can stand here too: it reads what an eager transcription has heard.
"""

import re
from dataclasses import dataclass
from typing import Final, Protocol

from audio.clip import samples_from_ms

SHORTEST: Final = samples_from_ms(200)
LONGEST: Final = samples_from_ms(1_200)


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


# Words with which no English sentence ends, or after which more is to come.
_DANGLING: Final = _words(
    "a an the and but or nor so because if when while that which who whose although though unless until than",
    "as to of in on at by for from with into about between my your his her its our their",
    "is are was were am be been um uh er erm hmm like just very really please",
)
_DIGITS: Final = _words("zero oh one two three four five six seven eight nine ten")
_FINISHED: Final = re.compile("[.?!\u3002\uff1f\uff01]$")
_GOES_ON: Final = re.compile("[,;:\u2013\u2026-]$|[.][.][.]$")


class EndpointPolicy(Protocol):
    """Judges pauses. Pure."""

    def earliest(self, usual: int) -> int | None:
        """The shortest silence that any text could lead to; before it is over the text must be known.

        None where the text does not matter.
        """
        ...

    def silence(self, text: str, usual: int) -> int:
        """The silence, in samples, that ends an utterance whose text so far is this.

        usual: what `vad.silence_ms` says
        """
        ...


@dataclass(frozen=True, slots=True)
class FixedSilence:
    """Whatever was said."""

    def earliest(self, usual: int) -> None:
        return None

    def silence(self, text: str, usual: int) -> int:
        return usual


@dataclass(frozen=True, slots=True)
class AdaptiveSilence:
    """Shorter where the text reads finished, longer where it does not; samples, bounded both ways."""

    shortest: int = SHORTEST
    longest: int = LONGEST

    def earliest(self, usual: int) -> int:
        return min(self.shortest, usual)

    def silence(self, text: str, usual: int) -> int:
        shortest, longest = min(self.shortest, usual), max(self.longest, usual)
        if reads_unfinished(text):
            return longest
        return shortest if _FINISHED.search(text) else usual


def reads_unfinished(text: str) -> bool:
    """Ends in a word or a mark after which more is to come, or in the middle of a number that is read out."""
    words = [word.strip(".,;:?!").lower() for word in text.split()]
    if not words:
        return False
    if _GOES_ON.search(text) or (words[-1] in _DANGLING and not _FINISHED.search(text)):
        return True
    return len(words) >= 2 and all(_is_digit(word) for word in words[-2:])


def _is_digit(word: str) -> bool:
    return word in _DIGITS or (word.isdigit() and len(word) <= 2)
