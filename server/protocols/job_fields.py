"""Parse the fields of requests for jobs, from a form or JSON. Pure."""

from collections.abc import Iterable
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from downloads.address import MAX_URL
from jobs.job import JobOptions, JobPriority
from server.protocols.file_fields import FileFields, SpeakerCountFields, language_of, parse_fields
from server.protocols.json_messages import ANY_CASE

MAX_METADATA: Final = 2_000  # characters


class JobFields(SpeakerCountFields, FileFields):
    """Hold the fields of a job."""

    model_config = ConfigDict(extra="forbid")

    url: str | None = Field(None, max_length=MAX_URL, description="http(s) address of the file")
    model: str = Field(
        "", max_length=256, description="a name of /v1/models; any other name stands for the default model"
    )
    language: str | None = Field(None, description="ISO 639-1 code, or a language's English name")
    hotwords: list[str] = Field([], description="words and phrases that are likely to occur")
    words: Annotated[bool, ANY_CASE] = Field(
        True, description="whether the transcript has the times of words"
    )
    task: Literal["transcribe", "translate"] = "transcribe"
    diarize: Annotated[bool, ANY_CASE] = Field(
        False, description="name the speakers, once the whole file was heard"
    )
    multichannel: Annotated[bool, ANY_CASE] = Field(
        False, description="transcribe each channel apart, as the speech of one speaker: A for the first one"
    )
    summarize: Annotated[bool, ANY_CASE] = Field(
        False, description="add a summary to the transcript, by SUMMARY_URL or of chosen sentences"
    )
    chapters: Annotated[bool, ANY_CASE] = Field(
        False, description="add chapters to the transcript, by SUMMARY_URL"
    )
    callback: str | None = Field(
        None, max_length=MAX_URL, description="http(s) address to which the end of the job is reported"
    )
    metadata: str = Field("", max_length=MAX_METADATA, description="text that is returned unchanged")
    priority: JobPriority = Field(JobPriority.NORMAL, description="low: runs when no normal job waits")

    def options(self) -> JobOptions:
        """Return the options of the job. Raises ApiError."""
        within = self.within()
        bounds = self.speaker_bounds()  # Also without speakers, contradicting bounds are an error.
        return JobOptions(
            model=self.model,
            asr=self.recognition(
                "hotwords",
                language=language_of(self.language),
                words=self.words,
                task=self.task,
                hotwords=tuple(self.hotwords),
            ),
            start=within.start or None,
            end=within.end,
            track=self.track,
            callback=self.callback,
            metadata=self.metadata,
            text=self.text_options(),
            speakers=bounds if self.diarize and not self.multichannel else None,
            multichannel=self.multichannel,
            summarize=self.summarize,
            chapters=self.chapters,
        )


def parse_job_fields(fields: Iterable[tuple[str, object]], *, is_json: bool = False) -> JobFields:
    """Return the checked fields of a request; an unknown name is an error. Raises ApiError.

    is_json: whether they are of JSON, in which a text is no number
    """
    return parse_fields(JobFields, fields, is_json=is_json)
