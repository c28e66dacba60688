"""Segmenter: probabilities to onsets and endpoints. Pure; positions are samples of the stream.

A hop turns to speech at `threshold` and back to silence below `exit_threshold` (a Schmitt trigger). Speech
that adds up to `min_speech` before `silence` has passed makes an onset; `silence` after it an endpoint.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from audio.clip import HOP, samples_from_ms
from vad.options import VadOptions

TAIL_HOPS: Final = 3  # silence kept behind the last speech hop: 96 ms
CUT_WINDOW: Final = samples_from_ms(3_000)  # how far back from the limit a cut may lie


class Reason(StrEnum):
    """Why an utterance is over."""

    SILENCE = "silence"
    MAX_DURATION = "max_duration"
    COMMIT = "commit"
    END_OF_STREAM = "end_of_stream"
    DISCONNECT = "disconnect"


@dataclass(frozen=True, slots=True)
class Onset:
    """An utterance has begun at `start`, pre-roll included."""

    start: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The segment [start, end) is over. After MAX_DURATION the segmenter may be open still, from `end` on."""

    start: int
    end: int
    reason: Reason


class Phase(Enum):
    """CANDIDATE: speech was heard, not yet enough of it."""

    QUIET = 0
    CANDIDATE = 1
    OPEN = 2


@dataclass(frozen=True, slots=True)
class SegmenterState:
    """What a segmenter remembers between two hops, as plain data; phase: a Phase's value."""

    position: int
    phase: int
    floor: int
    start: int
    voiced: bool
    speech_end: int
    speech_hops: int
    patience: int


class Segmenter:
    """One stream's judge of where utterances begin and end.

    quietest: called with a range of samples (low, high), returns the sample in it at which to cut an
    utterance that has reached its limit
    """

    def __init__(self, options: VadOptions, quietest: Callable[[int, int], int]) -> None:
        self.position = 0  # samples judged
        self._quietest = quietest
        self._floor = 0  # no segment starts before it: the end of the one before, or of what was discarded
        self._start = 0
        self._enter(Phase.QUIET)
        self._options = options
        self.options = options

    def __repr__(self) -> str:
        return f"<Segmenter {self._phase.name} start={self.start} position={self.position}>"

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        if phase is Phase.QUIET:
            self._voiced = False
            self._speech_end = self.position
            self._speech_hops = 0

    @property
    def options(self) -> VadOptions:
        return self._options

    @options.setter
    def options(self, options: VadOptions) -> None:
        """Takes effect from the next hop on. Derived values are kept here: `feed` runs for every hop."""
        self._floor = max(self._floor, self.oldest_needed)  # what lies before it may be forgotten by now
        self._options = options
        self._threshold = options.threshold
        self._exit_threshold = options.exit_threshold
        self._silence = self._patience = options.silence_hops * HOP
        self._tail = min(TAIL_HOPS, options.silence_hops) * HOP

    @property
    def is_open(self) -> bool:
        """Inside an utterance."""
        return self._phase is Phase.OPEN

    @property
    def start(self) -> int | None:
        """Where the open utterance, or the candidate for one, starts; None in quiet."""
        return None if self._phase is Phase.QUIET else self._start

    @property
    def oldest_needed(self) -> int:
        """No segment will start before this sample: what lies before it may be forgotten."""
        if self._phase is Phase.QUIET:
            return min(max(self._floor, self.position - self._options.prefix), self.position)
        return self._start

    @property
    def pause_end(self) -> int | None:
        """In an open utterance's silence, once the tail is complete: where it would end if it ended here."""
        if self._options.manual:
            return None
        if self._phase is Phase.OPEN and not self._voiced and self.silent >= self._tail:
            return self._speech_end + self._tail
        return None

    @property
    def silent(self) -> int:
        """Samples of silence since the last speech."""
        return self.position - self._speech_end

    def feed(self, probability: float) -> Onset | Endpoint | None:
        """Judges the next hop."""
        if self._options.manual:
            return self._pass()
        self._voiced = probability >= (self._exit_threshold if self._voiced else self._threshold)
        hop = self.position
        self.position += HOP
        if self._phase is Phase.QUIET and not self._voiced:
            return None
        if self._voiced:
            self._speech_end = self.position
            self._speech_hops += 1
            self._patience = self._silence
        if self._phase is Phase.QUIET:
            self._start = max(self._floor, hop - self._options.prefix)
            self._phase = Phase.CANDIDATE
        if self._phase is Phase.CANDIDATE:
            return self._judge_candidate()
        return self._judge_open()

    def _pass(self) -> Onset | Endpoint | None:
        """All that comes belongs to the utterance; should judging begin again, it begins from here."""
        hop, before = self.position, self._phase
        self.position += HOP
        self._speech_end, self._voiced = self.position, False
        if before is Phase.QUIET:
            self._start = max(self._floor, hop)
        self._phase = Phase.OPEN
        if before is not Phase.OPEN:
            return Onset(self._start)
        return self._cut() if self.position - self._start >= self._options.max_segment else None

    def _judge_candidate(self) -> Onset | None:
        if self._speech_hops >= self._options.min_speech_hops:
            self._phase = Phase.OPEN
            return Onset(self._start)
        if self.silent >= self._silence:
            self._enter(Phase.QUIET)
        return None

    def _judge_open(self) -> Endpoint | None:
        if self.silent >= self._patience:
            return self._end(self._speech_end + self._tail, Reason.SILENCE)
        if self.position - self._start >= self._options.max_segment:
            return self._cut()
        return None

    def _cut(self) -> Endpoint:
        """Ends the utterance at its limit; one that is being spoken goes on as the next one."""
        if self.pause_end is not None:
            return self._end(self.pause_end, Reason.MAX_DURATION)
        window = min(CUT_WINDOW, self._options.max_segment // 2)
        cut = self._quietest(self.position - window, self.position)
        endpoint = Endpoint(self._start, cut, Reason.MAX_DURATION)
        self._start = self._floor = cut
        return endpoint

    def _end(self, end: int, reason: Reason) -> Endpoint:
        endpoint = Endpoint(self._start, end, reason)
        self._floor = end
        self._enter(Phase.QUIET)
        return endpoint

    def standing(self) -> SegmenterState:
        return SegmenterState(
            self.position,
            self._phase.value,
            self._floor,
            self._start,
            self._voiced,
            self._speech_end,
            self._speech_hops,
            self._patience,
        )

    def resume(self, standing: SegmenterState) -> None:
        """Goes on from there, with the options that are in force."""
        self.position, self._floor, self._start = standing.position, standing.floor, standing.start
        self._phase, self._voiced = Phase(standing.phase), standing.voiced
        self._speech_end, self._speech_hops = standing.speech_end, standing.speech_hops
        self._patience = standing.patience

    def wait(self, silence: int) -> None:
        """In the present pause, and only in it, so many samples of silence make the endpoint."""
        self._patience = silence

    def close(self, at: int, reason: Reason) -> Endpoint | None:
        """Ends the open utterance, or the candidate for one, at a sample of the hop under way (or its start).

        In a pause the utterance ends where silence would have ended it. None in quiet.
        """
        if self._phase is Phase.QUIET:
            return None
        pause_end = self.pause_end
        return self._end(at if pause_end is None else pause_end, reason)

    def discard(self, at: int) -> tuple[int, int] | None:
        """Drops the open utterance, or the candidate for one; returns its range [start, at)."""
        dropped = None if self.start is None else (self._start, at)
        self._floor = at
        self._enter(Phase.QUIET)
        return dropped
