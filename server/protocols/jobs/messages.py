"""Define the JSON objects of /v1/jobs, and make them from jobs. Pure."""

from collections.abc import Iterable
from operator import not_
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from audio.clip import ms_from_samples
from audio.files import Track
from jobs.job import Delivery, Job, JobPriority, JobState, JobStep, JobTranscript
from postprocessing.summary_types import Chapters, Method, Summary
from transcripts.segments import split_segment
from transcripts.transcript import TranscriptSegment

OVERLAP: Final = "several people speak at once; absent otherwise, and unless the job has `diarize`"
SPEAKER: Final = (
    "who speaks: A, B, …; null unless the job has `multichannel`, or has `diarize` and has succeeded"
)


class _Object(BaseModel):
    # Every field is in every response, so the document lists all of them as required.
    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class JobError(_Object):
    """Say why a job failed."""

    code: str = Field(description="name for programs, such as invalid_audio")
    message: str = Field(description="sentence for people")


class Source(_Object):
    """Name the audio of a job."""

    url: str | None = Field(description="address of the file; null for an upload")
    name: str = Field(description="name of the file, if it is known")
    bytes: int | None = Field(description="size; null until a download is complete")


class JobProgress(_Object):
    """Say how much of a file was downloaded, in bytes, and how much audio was transcribed, in seconds."""

    bytes_done: int = Field(description="of a download; 0 for an upload")
    bytes_total: int | None = Field(description="null for an upload, and if the sender does not say it")
    seconds_done: float
    seconds_total: float | None = Field(description="null if the length is not known yet")
    step: JobStep | None = Field(
        description="what a job that is being transcribed does once its text is known: the text is "
        "summarized, or the speakers are distinguished; null otherwise"
    )


class TrackObject(_Object):
    """Describe an audio track of the file."""

    index: int
    language: str | None = Field(description="as the file names it, mostly a code of ISO 639-2")
    title: str | None
    default: bool = Field(description="whether the file flags it as the track to play")
    channels: int


class JobObject(_Object):
    """Hold a job. Times are seconds since the epoch, and null if that has not happened."""

    id: str
    object: Literal["job"] = "job"
    status: JobState
    created_at: float
    started_at: float | None
    finished_at: float | None
    expires_at: float | None = Field(
        description="when the job is deleted with its audio and its text; null until it has ended"
    )
    source: Source
    progress: JobProgress
    position: int | None = Field(description="jobs that start before this one; null if it does not wait")
    attempts: int = Field(description="runs since the last part of the text was completed")
    priority: JobPriority
    model: str | None = Field(description="the model that is used; null until it is known")
    language: str | None = Field(description="ISO 639-1 code of the language, once it is known")
    error: JobError | None = Field(description="why the job failed; null if it did not")
    warnings: list[str]
    track: int | None = Field(description="index of the track that is transcribed; null until it is known")
    tracks: list[TrackObject] = Field(description="all audio tracks of the file, once they are known")
    callback: str | None = Field(
        description="pending, delivered or failed: how far the end was reported; null before it"
    )
    metadata: str = Field(description="text of the client")


class JobList(_Object):
    """Hold a page of jobs, the newest first."""

    object: Literal["list"] = "list"
    data: list[JobObject]
    has_more: bool
    last_id: str | None = Field(description="`after` of the next page")


class DeletedJob(_Object):
    """Report the deletion of a job."""

    id: str
    object: Literal["job"] = "job"
    deleted: Literal[True] = True


class DeliveryObject(_Object):
    """Hold a try to report the end of a job. Times are seconds since the epoch."""

    started_at: float
    seconds: float = Field(description="how long the try took")
    status_code: int | None = Field(description="of the answer; null if there was none")
    error: str | None = Field(description="why there was no answer; null if there was one")


class DeliveryList(_Object):
    """Hold all tries to report the end of a job, the first one first."""

    object: Literal["list"] = "list"
    data: list[DeliveryObject]


class WordObject(_Object):
    """Hold a word; times are seconds of the file."""

    word: str
    start: float
    end: float
    confidence: float | None
    speaker: str | None = Field(description=SPEAKER)
    overlap: bool = Field(False, exclude_if=not_, description=OVERLAP)


class SegmentObject(_Object):
    """Hold a segment; times are seconds of the file."""

    start: float
    end: float
    text: str
    language: str | None
    confidence: float | None
    speaker: str | None = Field(description=SPEAKER)
    overlap: bool = Field(False, exclude_if=not_, description=OVERLAP)
    words: list[WordObject]


class FilteredObject(_Object):
    """Name a text that the filter of hallucinations removed or shortened; times are seconds of the file."""

    start: float
    end: float
    guard: str = Field(description="why, such as phantom; `repetition` names a text that was shortened")


class SummaryObject(_Object):
    """Hold a summary of the text."""

    text: str
    method: Method = Field(description="whether a model wrote it, or sentences were chosen")
    model: str | None = Field(description="the model that wrote it; null for chosen sentences")
    reason: str | None = Field(description="why sentences were chosen although there is a model")


class ChapterObject(_Object):
    """Hold a chapter."""

    start: float = Field(description="seconds of the file")
    title: str


class ChaptersObject(_Object):
    """Hold the chapters of the text."""

    items: list[ChapterObject] = Field(description="in order of time")
    model: str | None = Field(description="the model that wrote them; null if there are none")
    reason: str | None = Field(description="why there are none")


class TranscriptObject(_Object):
    """Hold the text of a job, which is complete once the status is succeeded."""

    id: str
    object: Literal["job.transcript"] = "job.transcript"
    status: JobState
    model: str | None
    language: str | None
    duration: float = Field(description="seconds of audio that were transcribed")
    text: str
    segments: list[SegmentObject]
    filtered: list[FilteredObject] = Field(
        description="texts that the filter of hallucinations removed or shortened"
    )
    ignored: list[str] = Field(description="options that the model does not support, such as language")
    warnings: list[str]
    summary: SummaryObject | None = Field(
        description="null unless the job has `summarize` and its text was summarized"
    )
    chapters: ChaptersObject | None = Field(
        description="null unless the job has `chapters` and its text was divided"
    )


def job_object(job: Job) -> JobObject:
    """Return a job as it is sent."""
    problem = job.problem
    return JobObject(
        id=job.id,
        status=job.state,
        created_at=round(job.created, 3),
        started_at=_rounded(job.started),
        finished_at=_rounded(job.finished),
        expires_at=_rounded(job.expires),
        source=Source(url=job.source.url, name=job.source.name, bytes=job.source.size),
        progress=JobProgress(
            bytes_done=job.bytes_done,
            bytes_total=job.bytes_total,
            seconds_done=round(job.seconds_done, 3),
            seconds_total=_rounded(job.seconds_total),
            step=job.step,
        ),
        position=job.position,
        attempts=job.attempts,
        priority=job.priority,
        model=job.model,
        language=job.language,
        error=None if problem is None else JobError(code=problem.code, message=problem.message),
        warnings=list(job.warnings),
        track=None if job.tracks is None else job.tracks.used,
        tracks=[] if job.tracks is None else list(map(_track_object, job.tracks.tracks)),
        callback=job.callback,
        metadata=job.options.metadata,
    )


def _track_object(track: Track) -> TrackObject:
    return TrackObject(
        index=track.index,
        language=track.language,
        title=track.title,
        default=track.default,
        channels=track.channels,
    )


def delivery_list(deliveries: Iterable[Delivery]) -> DeliveryList:
    """Return the tries to report the end of a job as they are sent."""
    return DeliveryList(
        data=[
            DeliveryObject(
                started_at=round(each.time, 3),
                seconds=round(each.seconds, 3),
                status_code=each.status,
                error=each.error,
            )
            for each in deliveries
        ]
    )


def transcript_object(transcript: JobTranscript) -> TranscriptObject:
    """Return the text of a job as it is sent."""
    job = transcript.job
    return TranscriptObject(
        id=job.id,
        status=job.state,
        model=job.model,
        language=job.language,
        duration=round(job.seconds_done, 3),
        text=" ".join(segment.hypothesis.text for segment in transcript.segments),
        segments=segment_objects(transcript.segments),
        filtered=[
            FilteredObject(start=_seconds(each.start), end=_seconds(each.end), guard=each.guard)
            for each in transcript.filtered
        ],
        ignored=sorted({name for each in transcript.segments for name in each.hypothesis.ignored}),
        warnings=list(job.warnings),
        summary=_summary_object(job.summary),
        chapters=_chapters_object(job.chapters),
    )


def _summary_object(summary: Summary | None) -> SummaryObject | None:
    if summary is None:
        return None
    return SummaryObject(text=summary.text, method=summary.method, model=summary.model, reason=summary.reason)


def _chapters_object(chapters: Chapters | None) -> ChaptersObject | None:
    if chapters is None:
        return None
    items = [ChapterObject(start=each.start, title=each.title) for each in chapters.items]
    return ChaptersObject(items=items, model=chapters.model, reason=chapters.reason)


def segment_objects(segments: Iterable[TranscriptSegment]) -> list[SegmentObject]:
    """Return segments as they are sent: each has one or a few sentences, as those of a file at /v1/audio."""
    return [_segment_object(part) for segment in segments for part in split_segment(segment)]


def _segment_object(segment: TranscriptSegment) -> SegmentObject:
    hypothesis = segment.hypothesis
    return SegmentObject(
        start=_seconds(segment.start),
        end=_seconds(segment.end),
        text=hypothesis.text,
        language=hypothesis.language,
        confidence=hypothesis.confidence,
        speaker=segment.speaker,
        overlap=segment.is_overlap,
        words=[
            WordObject(
                word=word.text,
                start=_seconds(word.start),
                end=_seconds(word.end),
                confidence=word.confidence,
                speaker=word.speaker,
                overlap=word.overlap,
            )
            for word in hypothesis.words
        ],
    )


def parse_states(text: str) -> set[JobState]:
    """Return the states of a comma-separated list. Raises ValueError."""
    return {JobState(name.strip()) for name in text.split(",") if name.strip()}


def _seconds(samples: int) -> float:
    return ms_from_samples(samples) / 1_000


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
