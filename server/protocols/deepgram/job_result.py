"""Write the result of a job as the response of Deepgram's API for a file. Pure."""

from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl, urlencode
from uuid import NAMESPACE_URL, uuid5

from diarization.clustering import ANY_NUMBER
from jobs.job import JobOptions, JobState, JobTranscript
from server.errors import invalid
from server.protocols.deepgram.file_response import FileResult, build_response
from server.protocols.deepgram.live_output import ModelMetadata, timestamp
from server.protocols.deepgram.messages import FileTranscription, ModelInfoFields, RequestError, error_code
from server.protocols.deepgram.options import DeepgramOptions, parse_options
from streaming.options import SessionOptions

MAX_QUERY: Final = 8_000  # characters


def job_options(options: DeepgramOptions, query: list[tuple[str, str]], *, diarizes: bool) -> JobOptions:
    """Return the options of a job.

    query: the fields that `options` were parsed from; they are stored to write the result
    diarizes: whether the server distinguishes speakers; otherwise there is one, as in other requests

    Raises ApiError if they are too long.
    """
    text = urlencode(query)
    if len(text) > MAX_QUERY:
        raise invalid(f"The options have more than {MAX_QUERY} characters.")
    return JobOptions(
        model=options.model or "",
        asr=options.session.asr,
        start=options.within.start or None,
        end=options.within.end,
        track=options.track,
        text=options.session.text,
        presentation=text,
        speakers=ANY_NUMBER if diarizes and options.diarized and not options.multichannel else None,
        multichannel=options.multichannel,
        summarize=options.summarized,
    )


def report_of(transcript: JobTranscript) -> FileTranscription | RequestError:
    """Return what a callback reports about a job that has ended: its result, or why there is none."""
    job = transcript.job
    if job.state is JobState.SUCCEEDED:
        return result_of(transcript)
    code, message = "cancelled", "The job was cancelled."
    if job.problem is not None:
        code, message = job.problem.code, job.problem.message
    return RequestError(err_code=error_code(code), err_msg=message, request_id=job.id)


def result_of(transcript: JobTranscript) -> FileTranscription:
    """Return the result of a job, in the form that its stored query asks for."""
    job = transcript.job
    options = parse_options(parse_qsl(job.options.presentation), SessionOptions())
    name = job.model or ""
    model = ModelMetadata(str(uuid5(NAMESPACE_URL, name)), ModelInfoFields(name=name, version="", arch=""))
    result = FileResult(
        request_id=job.id,
        sha256=(job.source.audio or "").partition("-")[0],
        created=timestamp(datetime.fromtimestamp(job.created, UTC)),
        seconds=job.seconds_done,
        segments=transcript.segments,
        filtered=transcript.filtered,
        warnings=job.warnings,
        summary=job.summary,
        channels=job.channels,
    )
    return build_response(options, model, result)
