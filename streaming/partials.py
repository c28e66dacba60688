"""Partials: when an open utterance is worth another look, at how much of it, and what is shown of the answer.

A long utterance does not cost more and more. Once the window is longer than WINDOW, its first part, up to a
quiet place, is transcribed by itself and its words are kept; the window goes on from there.
"""

from collections.abc import Callable, Sequence
from typing import Final

from asr.recognizer import Hypothesis
from audio.clip import SAMPLE_RATE
from streaming.local_agreement import LocalAgreement, joined, pieces

WINDOW: Final = 10 * SAMPLE_RATE
REST: Final = 4
LEFT: Final = 2 * SAMPLE_RATE  # what stays in the window at least: words that may still change


class Partials:
    """Those of one utterance. Positions are samples of the stream."""

    def __init__(self, start: int, due: int, told: Sequence[str] = ()) -> None:
        self._start = start
        self._due = due
        self._asked = due
        self._window = start
        self._cut: int | None = None  # where the part ends that is to be kept
        self._kept = ""  # said in [start, window)
        self._shown_until = start
        self._stabilizer = LocalAgreement(told)
        self.told = list(told)  # the words that were shown as stable, each with the space before it

    def is_due(self, position: int) -> bool:
        return position >= self._due

    def next_range(
        self, position: int, interval: int, quietest: Callable[[int, int], int] | None
    ) -> tuple[int, int]:
        """What to transcribe now; the next is due an interval later.

        quietest: where a range is quietest; None for a recognizer to which a longer clip costs no more
        """
        self._due = position + interval
        self._asked = position
        if quietest is None or position - self._window <= WINDOW:
            return self._window, position
        if self._cut is None:  # asked again until it is answered: a partial may be shed
            self._cut = quietest(self._window + LEFT, position - LEFT)
        return self._window, self._cut

    def answered(self, position: int) -> None:
        """The answer came when the stream was here: the next partial waits REST times as long.

        So partials are spaced out by themselves where the recognizer is slow or busy, and those of one stream
        keep it busy for a fifth of the time at most.
        """
        self._due = max(self._due, position + REST * (position - self._asked))

    def update(self, start: int, end: int, said: Hypothesis) -> tuple[str, int] | None:
        """Takes what was said in [start, end); the text to show and how much of it is stable, or None.

        None for what shows nothing new: a part that is kept, or an answer that a later one has overtaken.
        """
        if start == self._window and end == self._cut:
            self._kept = joined(self._kept, said.text)
            self._window, self._cut = end, None
            return None
        if end <= self._shown_until or start not in (self._start, self._window):
            return None
        self._shown_until = end
        before = self._kept if start == self._window else ""
        words = pieces(joined(before, said.text))
        settled = (
            None if said.stable_chars is None else len(pieces(joined(before, said.text[: said.stable_chars])))
        )
        stable, tail = self._stabilizer.update(words, settled)
        if not (stable or tail):
            return None
        self.told = stable
        return "".join(stable + tail), len("".join(stable))
