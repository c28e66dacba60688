"""Decide when a partial of an open utterance is due, which audio it covers, and what of its text is shown.

The cost of a partial does not grow with the utterance. Once the window is longer than MAX_WINDOW, its first
part, up to a quiet place, is transcribed by itself and its words are kept; the window then begins there.
"""

from collections.abc import Callable, Sequence
from typing import Final

from asr.recognizer import Hypothesis
from audio.clip import SAMPLE_RATE
from streaming.local_agreement import LocalAgreement, join_texts, pieces

MAX_WINDOW: Final = 10 * SAMPLE_RATE
REST_FACTOR: Final = 4  # pause after a partial, as a multiple of the time that it took
FIRST_FACTOR: Final = 2  # Until there is text to show, partials come this much more often.
MIN_WINDOW: Final = 2 * SAMPLE_RATE  # stays in the window after a cut: words that may still change


class Partials:
    """Plan the partials of one utterance. Positions are samples of the stream.

    due: position from which the next partial is due
    stable: the words that were shown as stable, each with the space before it
    """

    def __init__(self, start: int, due: int, stable: Sequence[str] = ()) -> None:
        """Begin an utterance at `start`; `stable` are words of it that were shown as stable already."""
        self._start = start
        self.due = due
        self._requested_at = due
        self._window = start
        self._cut: int | None = None  # end of the part whose words are to be kept
        self._kept = ""  # the text of [start, window)
        self._shown_until = start
        self._has_text = bool(stable)
        self._stabilizer = LocalAgreement(stable)
        self.stable = list(stable)

    def next_range(
        self, position: int, interval: int, quietest: Callable[[int, int], int] | None
    ) -> tuple[int, int]:
        """Return the range [start, end) to transcribe now; the next partial is due an interval later.

        Before the first text, it is due after half an interval.

        quietest: returns where a range is quietest; None for a recognizer for which length costs nothing
        """
        self.due = position + (interval if self._has_text else interval // FIRST_FACTOR)
        self._requested_at = position
        if quietest is None or position - self._window <= MAX_WINDOW:
            return self._window, position
        if self._cut is None:  # the same cut until it has a result: a partial may be shed
            self._cut = quietest(self._window + MIN_WINDOW, position - MIN_WINDOW)
        return self._window, self._cut

    def space_out(self, samples: int) -> None:
        """Let the next partial come no earlier than so many samples after the last one was requested."""
        self.due = max(self.due, self._requested_at + samples)

    def result_received(self, position: int) -> None:
        """Note that the result came when the stream was at `position`, and delay the next partial.

        The delay is REST_FACTOR times as long as the result took. So a slow or busy recognizer gets fewer
        partials, and those of one stream occupy it for at most a fifth of the time.
        """
        self.due = max(self.due, position + REST_FACTOR * (position - self._requested_at))

    def update(self, start: int, end: int, said: Hypothesis) -> tuple[str, int] | None:
        """Accept the text of [start, end); return the text to show and how many characters of it are stable.

        Returns None if there is nothing new to show: for a part that is kept, or a result that came after a
        later one.
        """
        if start == self._window and end == self._cut:
            self._kept = join_texts(self._kept, said.text)
            self._window, self._cut = end, None
            return None
        if end <= self._shown_until or start not in (self._start, self._window):
            return None
        self._shown_until = end
        before = self._kept if start == self._window else ""
        words = pieces(join_texts(before, said.text))
        settled = said.stable_chars
        if settled:  # With 0, nothing more becomes stable, not even what was kept.
            settled = len(pieces(join_texts(before, said.text[:settled])))
        stable, tail = self._stabilizer.update(words, settled)
        if not (stable or tail):
            return None
        self._has_text = True
        self.stable = stable
        return "".join(stable + tail), len("".join(stable))
