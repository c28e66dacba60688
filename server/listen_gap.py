"""Gap: how long no word has been heard, so when Deepgram's UtteranceEnd is due. Pure; counts in samples."""

from collections import deque


class Gap:
    """Behind the last word of a final, told once for each. wait: how long it must be; None for never

    The gap ends where the next utterance begins. If that turns out to hold no words it has gone on: so an
    utterance that is not known yet only holds the answer back.
    """

    def __init__(self, wait: int | None) -> None:
        self._wait = wait
        self._position = 0
        self._unknown: deque[int] = deque()  # where utterances begin whose text is not there yet
        self._word_end: int | None = None

    def reach(self, position: int) -> int | None:
        """The stream has been judged so far. Here and below: the end of the last word, once the gap is long
        enough; else None."""
        self._position = position
        return self._due()

    def begin(self, start: int) -> int | None:
        """An utterance has begun."""
        self._unknown.append(start)
        return self._due()

    def conclude(self, word_end: int | None) -> int | None:
        """The first utterance not known yet is: where its last word ends, None if it has none."""
        self._unknown.popleft()
        if word_end is not None:
            self._word_end = word_end
        return self._due()

    def _due(self) -> int | None:
        end, word_end = self._unknown[0] if self._unknown else self._position, self._word_end
        if self._wait is None or word_end is None or end - word_end < self._wait:
            return None
        self._word_end = None
        return word_end
