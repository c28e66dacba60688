"""Count what became of every received sample."""

from dataclasses import dataclass


@dataclass(slots=True)
class SampleAccounting:
    """Count the samples of one session. A journal stores these fields by name.

    Ranges are entered in the order of the stream. What lies between them is non-speech, so the sums always
    agree.

    settled: every sample before this one is in one of the sums
    """

    speech: int = 0
    non_speech: int = 0
    dropped: int = 0
    segments: int = 0
    settled: int = 0

    @property
    def sums(self) -> tuple[int, int, int, int]:
        """Speech, non-speech and dropped samples, and segments."""
        return self.speech, self.non_speech, self.dropped, self.segments

    def enter_segment(self, start: int, end: int) -> None:
        """Count a segment as speech."""
        self.settle(start)
        self.speech += end - start
        self.settled = end
        self.segments += 1

    def reject_segment(self, start: int, end: int) -> None:
        """Count a segment that was entered as non-speech instead."""
        self.speech -= end - start
        self.non_speech += end - start

    def enter_drop(self, start: int, end: int) -> None:
        """Count samples as dropped."""
        self.settle(start)
        self.dropped += end - start
        self.settled = end

    def settle(self, until: int) -> None:
        """Count everything up to `until` that is in no range as non-speech.

        Raises ValueError if it is in a range already.
        """
        if until < self.settled:
            raise ValueError(f"samples before {self.settled} are entered already; got a range from {until}")
        self.non_speech += until - self.settled
        self.settled = until
