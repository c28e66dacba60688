"""Define what a job is: its source, options, state and result."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

from asr.recognizer import TranscriptionOptions
from audio.files import Track
from diarization.clustering import SpeakerBounds
from postprocessing.options import TextOptions
from postprocessing.summary_types import Chapters, Summary
from transcripts.transcript import FilteredText, TranscriptSegment

MAX_ATTEMPTS: Final = 3  # runs in a row that may end with their worker before the job fails


class JobState(StrEnum):
    """Name the states of a job; the last three are final.

    QUEUED: waits for a worker
    FETCHING: its audio is being downloaded
    TRANSCRIBING: a worker is transcribing it
    """

    QUEUED = "queued"
    FETCHING = "fetching"
    TRANSCRIBING = "transcribing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Return whether the job has ended."""
        return self in FINAL_STATES


FINAL_STATES: Final = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


class JobStep(StrEnum):
    """Name what a job that is being transcribed does once all of its text is known.

    SUMMARY: its text is summarized, or its chapters are written
    SPEAKERS: its speakers are distinguished
    """

    SUMMARY = "summary"
    SPEAKERS = "speakers"


class JobPriority(StrEnum):
    """Order jobs of all owners: LOW jobs run when no NORMAL one waits."""

    NORMAL = "normal"
    LOW = "low"


class CallbackState(StrEnum):
    """Name the states of a callback.

    PENDING: the end of the job is being reported
    DELIVERED: the receiver has answered with 2xx
    FAILED: it did not answer so for a day, or must not be asked
    """

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Hold a try to deliver a callback.

    number: of the try, from 0 on
    time: when it began, in seconds since the epoch; seconds: how long it took
    status: of the answer; None if there was none
    error: why there was none; None if there was one
    """

    number: int
    time: float
    seconds: float
    status: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class JobSource:
    """Say where the audio comes from.

    url: address from which it is downloaded; None for an upload
    name: file name of an upload, to show; "" if unknown
    audio: key of the audio in the audio store; None until it was downloaded
    size: bytes of the audio; None until it was downloaded
    """

    url: str | None = None
    name: str = ""
    audio: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class JobOptions:
    """Hold what the client chose for a job.

    model: name of a recognizer; "" or an unknown name stands for the default one
    start, end: seconds of the audio between which it is transcribed; None for its beginning and its end
    track: index among the audio tracks of the file; None for the default one
    callback: address to which the end of the job is reported; None for no report
    metadata: text of the client that is stored and returned unchanged
    text: what is done to the text before anything of it is stored
    speakers: bounds of the number of speakers; None if speakers are not distinguished
    multichannel: whether the channels are transcribed apart. Each is a speaker, A for the first one, so
        `speakers` is None
    summarize: whether the result has a summary
    chapters: whether the result has chapters
    presentation: what the wire protocol needs to write the result as the client asked for, in its own form
    """

    model: str = ""
    asr: TranscriptionOptions = field(default_factory=TranscriptionOptions)
    start: float | None = None
    end: float | None = None
    track: int | None = None
    callback: str | None = None
    metadata: str = ""
    text: TextOptions = field(default_factory=TextOptions)
    presentation: str = ""
    speakers: SpeakerBounds | None = None
    multichannel: bool = False
    summarize: bool = False
    chapters: bool = False


@dataclass(frozen=True, slots=True)
class JobProblem:
    """Say why a job failed.

    code: name for programs, such as fetch_failed
    message: sentence for people
    """

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class JobTracks:
    """Hold the audio tracks of a file; used: index of the one that is transcribed."""

    used: int
    tracks: tuple[Track, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """Hold a job as it was when it was read.

    owner: name of the API key that submitted it; "" without keys
    created, started, finished, expires: seconds since the epoch; None if that has not happened or is unknown.
        After `expires` the job is deleted with its audio and its text
    bytes_done, bytes_total: what was downloaded, and the size of the file; None if that is unknown
    seconds_done, seconds_total: audio that was transcribed, and all audio; None if the length is unknown
    channels: number of channels that are transcribed apart; 1 if they are mixed, or not known yet
    worker: name of the worker that began the last run; None if there was none
    step: what is done now that the text is known; None otherwise
    summary, chapters: of the text; None if they are not wanted or not known yet
    attempts: runs since the last part was completed
    position: number of jobs that start before this one; None unless it is queued and was read alone
    model, language: what was used, once that is known
    warnings: sentences about the audio or the options
    tracks: audio tracks of the file; None until they are known
    protocol: name of the wire protocol that submitted the job; it decides the shape of a callback
    callback: how far its end is reported; None before the end, or if the client asked for no callback
    """

    id: str
    owner: str
    state: JobState
    source: JobSource
    options: JobOptions
    created: float
    priority: JobPriority = JobPriority.NORMAL
    protocol: str = ""
    started: float | None = None
    finished: float | None = None
    expires: float | None = None
    bytes_done: int = 0
    bytes_total: int | None = None
    seconds_done: float = 0.0
    seconds_total: float | None = None
    attempts: int = 0
    position: int | None = None
    model: str | None = None
    language: str | None = None
    problem: JobProblem | None = None
    warnings: tuple[str, ...] = ()
    tracks: JobTracks | None = None
    callback: CallbackState | None = None
    revision: int = 0
    channels: int = 1
    worker: str | None = None
    step: JobStep | None = None
    summary: Summary | None = None
    chapters: Chapters | None = None


@dataclass(frozen=True, slots=True)
class NewJob:
    """Hold a job that is to be submitted.

    idempotency_key: a second submission of the owner with the same key returns the first job; None for none
    fingerprint: digest of the request, which must be the same for the same idempotency key
    """

    owner: str
    source: JobSource
    options: JobOptions = field(default_factory=JobOptions)
    priority: JobPriority = JobPriority.NORMAL
    protocol: str = ""
    idempotency_key: str | None = None
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class PartText:
    """Hold the text of a part of the audio, with the times of the file.

    segments: in order of time; each has text
    filtered: texts that the hallucination filter removed or shortened, in order of time
    """

    segments: tuple[TranscriptSegment, ...]
    filtered: tuple[FilteredText, ...] = ()


@dataclass(frozen=True, slots=True)
class JobTranscript:
    """Hold the text of a job, complete or as far as it is known.

    segments: in order of time; each has text
    filtered: texts that the hallucination filter removed or shortened, in order of time
    """

    job: Job
    segments: tuple[TranscriptSegment, ...]
    filtered: tuple[FilteredText, ...] = ()

    @classmethod
    def of_parts(cls, job: Job, parts: Sequence[PartText]) -> Self:
        """Return the text of consecutive parts."""
        segments = (segment for part in parts for segment in part.segments)
        return cls(job, tuple(segments), tuple(each for part in parts for each in part.filtered))


def new_job_id() -> str:
    """Return a new id, which cannot be guessed."""
    return f"job_{secrets.token_hex(16)}"
