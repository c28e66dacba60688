"""Turn probabilities of speech into the onsets and endpoints of utterances.

A hop turns to speech at `threshold` and back to silence below `exit_threshold` (a Schmitt trigger). Speech
that adds up to `min_speech` before `silence` has passed makes an onset; `silence` after it an endpoint. There
is no I/O here and no clock: positions are samples of the stream.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from audio.clip import HOP, samples_from_ms
from vad.options import VadOptions

TAIL_HOPS: Final = 3  # silence kept after the last speech hop: 96 ms
CUT_WINDOW: Final = samples_from_ms(3_000)  # how far back from the limit a cut may lie


class Reason(StrEnum):
    """Name the reasons for which an utterance ended."""

    SILENCE = "silence"
    MAX_DURATION = "max_duration"
    COMMIT = "commit"
    NO_AUDIO = "no_audio"
    END_OF_STREAM = "end_of_stream"
    DISCONNECT = "disconnect"


@dataclass(frozen=True, slots=True)
class Onset:
    """Report that an utterance began at the sample `start`, pre-roll included."""

    start: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Report that the segment [start, end) ended.

    After MAX_DURATION the segmenter may still be open: the next utterance then begins at `end`.
    """

    start: int
    end: int
    reason: Reason


class Phase(Enum):
    """Name the phases of a segmenter: CANDIDATE is speech that is still too short for an utterance."""

    QUIET = 0
    CANDIDATE = 1
    OPEN = 2


@dataclass(frozen=True, slots=True)
class SegmenterState:
    """Hold what a segmenter remembers between two hops, as plain data.

    A journal stores these fields by name. Positions are samples of the stream.

    position: samples judged
    phase: value of a Phase
    floor: no segment starts before this sample
    start: first sample of the open utterance or the candidate
    voiced: whether the last hop was speech
    speech_end: end of the last speech hop
    speech_hops: speech hops of the candidate or the utterance
    """

    position: int
    phase: int
    floor: int
    start: int
    voiced: bool
    speech_end: int
    speech_hops: int
    patience: int  # samples of silence that end the utterance


class Segmenter:
    """Decide where the utterances of one stream begin and end.

    position: samples judged so far
    pause_end: in the silence of an open utterance, once the tail is complete, where the utterance would end
        if it ended now; None at all other times
    quietest: called with a range of samples (low, high), returns the sample in it at which to cut an
        utterance that has reached its maximum length
    """

    def __init__(self, options: VadOptions, quietest: Callable[[int, int], int]) -> None:
        """Begin at the start of a stream."""
        self.position = 0
        self.pause_end: int | None = None
        self._quietest = quietest
        self._floor = 0  # end of the last segment or of discarded audio: no segment starts before it
        self._start = 0
        self._prefix = 0
        self._enter_quiet()
        self.options = options

    def __repr__(self) -> str:
        return f"<Segmenter {self._phase.name} start={self.start} position={self.position}>"

    def _enter_quiet(self) -> None:
        self._phase = Phase.QUIET
        self._voiced = False
        self._speech_end = self.position
        self._speech_hops = 0
        self.pause_end = None

    @property
    def options(self) -> VadOptions:
        """The options in force; new ones take effect with the next hop."""
        return self._options

    @options.setter
    def options(self, options: VadOptions) -> None:
        # `feed` runs for every hop of every stream: thresholds are computed once, here.
        self._floor = max(self._floor, self.oldest_needed)  # what lies before it may be forgotten already
        self._options = options
        self._threshold = options.threshold
        self._exit_threshold = options.exit_threshold
        self._silence = options.silence_hops * HOP
        self._pause = self._required_silence = options.pause_hops * HOP
        self._tail = min(TAIL_HOPS, options.silence_hops) * HOP
        self._prefix = options.prefix
        self._min_speech_hops = options.min_speech_hops
        self._max_segment = options.max_segment
        self.pause_end = self._pause_end()

    @property
    def is_open(self) -> bool:
        """Whether an utterance is open."""
        return self._phase is Phase.OPEN

    @property
    def start(self) -> int | None:
        """First sample of the open utterance, or of the candidate for one; None in quiet."""
        return None if self._phase is Phase.QUIET else self._start

    @property
    def oldest_needed(self) -> int:
        """No segment will start before this sample: older audio may be forgotten."""
        if self._phase is Phase.QUIET:
            return min(max(self._floor, self.position - self._prefix), self.position)
        return self._start

    @property
    def silent(self) -> int:
        """Samples of silence since the last speech."""
        return self.position - self._speech_end

    def feed(self, probability: float) -> Onset | Endpoint | None:
        """Judge the next hop by its probability of speech."""
        if self._options.manual:
            return self._feed_manual()
        hop = self.position
        self.position = position = hop + HOP
        if probability >= (self._exit_threshold if self._voiced else self._threshold):
            if not self._voiced and self._phase is Phase.OPEN:
                self._resume(hop)
            self._voiced = True
            self._speech_end = position
            self._speech_hops += 1
            self._required_silence = self._pause
            if self._phase is Phase.QUIET:
                self._start = max(self._floor, hop - self._prefix)
                self._phase = Phase.CANDIDATE
            self.pause_end = None
        else:
            self._voiced = False
            if self._phase is Phase.QUIET:
                return None
        if self._phase is Phase.CANDIDATE:
            return self._judge_candidate()
        if not self._voiced:
            self.pause_end = self._pause_end()
            if self.silent >= self._required_silence:
                return self._end(self._speech_end + self._tail, Reason.SILENCE)
        return self._cut() if position - self._start >= self._max_segment else None

    def _feed_manual(self) -> Onset | Endpoint | None:
        """Add the hop to the utterance; if automatic segmentation begins again, it begins after this hop."""
        hop, before = self.position, self._phase
        self.position += HOP
        self._speech_end, self._voiced = self.position, False
        if before is Phase.QUIET:
            self._start = max(self._floor, hop)
        self._phase = Phase.OPEN
        if before is not Phase.OPEN:
            return Onset(self._start)
        return self._cut() if self.position - self._start >= self._max_segment else None

    def _judge_candidate(self) -> Onset | None:
        if self._speech_hops >= self._min_speech_hops:
            self._phase = Phase.OPEN
            self.pause_end = self._pause_end()
            return Onset(self._start)
        if self.silent >= self._silence:
            self._enter_quiet()
        return None

    def _resume(self, hop: int) -> None:
        """Note that speech resumes at `hop` in an open utterance; here this changes nothing."""

    def _pause_end(self) -> int | None:
        if self._options.manual or self._phase is not Phase.OPEN or self._voiced or self.silent < self._tail:
            return None
        return self._speech_end + self._tail

    def _cut(self) -> Endpoint:
        """End the utterance at its maximum length; the next one begins there unless speech has paused."""
        if self.pause_end is not None:
            return self._end(self.pause_end, Reason.MAX_DURATION)
        window = min(CUT_WINDOW, self._max_segment // 2)
        cut = self._quietest(self.position - window, self.position)
        endpoint = Endpoint(self._start, cut, Reason.MAX_DURATION)
        self._start = self._floor = cut
        return endpoint

    def _end(self, end: int, reason: Reason) -> Endpoint:
        endpoint = Endpoint(self._start, end, reason)
        self._floor = end
        self._enter_quiet()
        return endpoint

    def save(self) -> SegmenterState:
        """Return the state as plain data."""
        return SegmenterState(
            self.position,
            self._phase.value,
            self._floor,
            self._start,
            self._voiced,
            self._speech_end,
            self._speech_hops,
            self._required_silence,
        )

    def restore(self, state: SegmenterState) -> None:
        """Continue from a saved state, with the options that are in force."""
        self.position, self._floor, self._start = state.position, state.floor, state.start
        self._phase, self._voiced = Phase(state.phase), state.voiced
        self._speech_end, self._speech_hops = state.speech_end, state.speech_hops
        self._required_silence = state.patience
        self.pause_end = self._pause_end()

    def require_silence(self, samples: int) -> None:
        """Let so much silence end the utterance, in the present pause only."""
        self._required_silence = samples

    def close(self, at: int, reason: Reason) -> Endpoint | None:
        """End the open utterance, or the candidate for one, at a sample of the next hop (or its start).

        In a pause the utterance ends where silence would have ended it. Returns None in quiet.
        """
        if self._phase is Phase.QUIET:
            return None
        return self._end(at if self.pause_end is None else self.pause_end, reason)

    def discard(self, at: int) -> tuple[int, int] | None:
        """Drop the open utterance, or the candidate for one; return its range [start, at), None in quiet."""
        dropped = None if self.start is None else (self._start, at)
        self._floor = at
        self._enter_quiet()
        return dropped
