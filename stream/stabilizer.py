"""Stabilizer: which words of a growing hypothesis will not change any more.

LocalAgreement-2 (Macháček et al., "Turning Whisper into Real-Time Transcription System", 2023): a word is
stable once two hypotheses in a row agree on it and on all before it.
"""

from collections.abc import Sequence


class Stabilizer:
    """One utterance's stable words."""

    def __init__(self) -> None:
        self._stable: list[str] = []
        self._previous: list[str] = []

    def update(self, words: Sequence[str]) -> tuple[list[str], list[str]]:
        """Takes the words of the next hypothesis; returns (stable, tail).

        Stable never shrinks and never changes; where the hypothesis disagrees with it, stable wins.
        """
        known = len(self._stable)
        if list(words[:known]) == self._stable:
            for old, new in zip(self._previous[known:], words[known:], strict=False):
                if old != new:
                    break
                self._stable.append(new)
        self._previous = list(words)
        return list(self._stable), list(words[len(self._stable) :])
