"""Define the events of a session. They are immutable; positions are samples of the stream."""

from dataclasses import dataclass, field

from asr.hallucination_filter import REPETITION
from asr.recognizer import Hypothesis
from audio.clip import Clip
from diarization.speaker_history import SpeakerChange
from vad.segmenter import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelEvent:
    """Describe an event of one channel.

    channel: number of the channel, from 0 on; None in a stream whose channels are mixed
    """

    channel: int | None = None


@dataclass(frozen=True, slots=True)
class UtteranceStarted(ChannelEvent):
    """Report that an utterance began; `at` is its first sample, pre-roll included."""

    utterance: int
    at: int


@dataclass(frozen=True, slots=True)
class UtteranceEnded(ChannelEvent):
    """Report that an utterance ended; `at` is the end of its segment."""

    utterance: int
    at: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class PartialTranscript(ChannelEvent):
    """Report the text of an open utterance so far; it replaces the partial before it.

    stable_chars: length of the beginning of `text` with which all later partials and the final begin, too
    end: the text covers the samples [start, end), which depends on the models' speed: not compared
    speaker: label of who probably speaks; None if unknown, or unless the client asked for speakers
    """

    utterance: int
    start: int
    text: str
    stable_chars: int
    end: int = field(default=0, compare=False)
    speaker: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class FinalTranscript(ChannelEvent):
    """Report the final text of an utterance, exactly once.

    clip: the audio of the utterance
    guard: the guard that rejected or shortened the text; None if none did
    eager: whether the text was ready when the pause became the endpoint, which depends on the models' speed
    speaker: label of the speaker who speaks most; None if unknown, or unless the client asked for speakers
    overlap: several people speak at once in it; False unless the client asked for speakers
    """

    utterance: int
    clip: Clip
    reason: Reason
    hypothesis: Hypothesis
    guard: str | None = None
    eager: bool = field(default=False, compare=False, repr=False)
    speaker: str | None = None
    overlap: bool = False

    @property
    def is_rejected(self) -> bool:
        """Whether the text was rejected, so that the segment counts as non-speech."""
        return self.guard not in (None, REPETITION)


@dataclass(frozen=True, slots=True)
class SpeakersRevised:
    """Report that earlier finals have other speakers than was said; their texts stay."""

    changes: tuple[SpeakerChange, ...]


@dataclass(frozen=True, slots=True)
class TranscriptionFailed(ChannelEvent):
    """Report, in place of a final, that recognition failed."""

    utterance: int
    start: int
    end: int
    message: str


@dataclass(frozen=True, slots=True)
class AudioCleared(ChannelEvent):
    """Report that the client dropped the open utterance [start, end), or nothing if start == end."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class MarkerReached(ChannelEvent):
    """Report that everything before a marker has been recognised."""

    id: str


@dataclass(frozen=True, slots=True)
class NoteReached(ChannelEvent):
    """Report that the stream has been judged up to a note; its content is its sender's own."""

    note: object
    at: int


@dataclass(frozen=True, slots=True)
class LagReported:
    """Report the lag of recognition for all streams in ms; 0 once there is none."""

    lag_ms: int


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """Report the end of the stream as the last event.

    received == speech + non_speech + dropped, in samples
    """

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
    | SpeakersRevised
    | TranscriptionFailed
    | AudioCleared
    | MarkerReached
    | NoteReached
    | LagReported
    | StreamClosed
)
