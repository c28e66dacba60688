"""Ledger: what became of every received sample."""

from dataclasses import dataclass


@dataclass(slots=True)
class SampleAccounting:
    """Samples of one session by their fate. Ranges are entered in the order of the stream; what lies between
    them is non-speech, so the sums agree by construction."""

    speech: int = 0
    non_speech: int = 0
    dropped: int = 0
    segments: int = 0
    settled: int = 0  # every sample before it is in one of the sums

    @property
    def sums(self) -> tuple[int, int, int, int]:
        """Speech, non-speech and dropped samples, and segments."""
        return self.speech, self.non_speech, self.dropped, self.segments

    def enter_segment(self, start: int, end: int) -> None:
        self.settle(start)
        self.speech += end - start
        self.settled = end
        self.segments += 1

    def refuse(self, start: int, end: int) -> None:
        """A segment that was entered turns out to be no speech."""
        self.speech -= end - start
        self.non_speech += end - start

    def enter_drop(self, start: int, end: int) -> None:
        self.settle(start)
        self.dropped += end - start
        self.settled = end

    def settle(self, until: int) -> None:
        """Everything up to here that is in no range is non-speech."""
        if until < self.settled:
            raise ValueError(f"samples before {self.settled} are entered already; got a range from {until}")
        self.non_speech += until - self.settled
        self.settled = until
