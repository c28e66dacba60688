"""What a session tells its client: frozen, positions in samples of the stream."""

from dataclasses import dataclass, field

from asr.recognizer import Hypothesis
from audio.clip import Clip
from vad.segmenter import Reason


@dataclass(frozen=True, slots=True)
class UtteranceStarted:
    """at: first sample of the utterance, pre-roll included."""

    utterance: int
    at: int


@dataclass(frozen=True, slots=True)
class UtteranceEnded:
    """at: end of the utterance's segment."""

    utterance: int
    at: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class PartialTranscript:
    """Replaces the partial before it. The first `stable_chars` characters of `text` begin all later partials
    of the utterance, and its final. It heard [start, end), as far as the models have come; not compared."""

    utterance: int
    start: int
    text: str
    stable_chars: int
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class FinalTranscript:
    """The one and only text of an utterance.

    clip: its sound
    guard: which guard refused the text, so that the segment counts as non-speech; None if none did
    eager: the text was there when the pause became the endpoint: hangs on how fast the recognizer was
    """

    utterance: int
    clip: Clip
    reason: Reason
    hypothesis: Hypothesis
    guard: str | None = None
    eager: bool = field(default=False, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TranscriptionFailed:
    """Stands in a Final's place where recognition failed."""

    utterance: int
    start: int
    end: int
    message: str


@dataclass(frozen=True, slots=True)
class AudioCleared:
    """The client dropped [start, end): the open utterance, which gets no final, or nothing (start == end)."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class MarkerReached:
    """Everything before the marker has been recognised."""

    id: str


@dataclass(frozen=True, slots=True)
class NoteReached:
    """The stream has been judged up to where the note was made; what it says is for whoever made it."""

    note: object
    at: int


@dataclass(frozen=True, slots=True)
class LagReported:
    """Recognition is so far behind, for all streams; 0 once it is not any more."""

    lag_ms: int


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """The last event. received == speech + non_speech + dropped, in samples."""

    received: int
    speech: int
    non_speech: int
    dropped: int
    segments: int


Event = (
    UtteranceStarted
    | UtteranceEnded
    | PartialTranscript
    | FinalTranscript
    | TranscriptionFailed
    | AudioCleared
    | MarkerReached
    | NoteReached
    | LagReported
    | StreamClosed
)
