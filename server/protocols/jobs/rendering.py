"""Write the text of a job in the formats of /v1/jobs/{id}/transcript. Pure."""

from typing import Final, Literal

from starlette.responses import Response

from jobs.job import JobTranscript
from server.protocols.document_formats import DocumentFormat, write_document
from server.protocols.jobs.messages import transcript_object
from transcripts.transcript import Transcript

STATUS_HEADER: Final = "x-job-status"
FILTERED_HEADER: Final = (
    "x-filtered"  # number of texts that were removed or shortened; absent if there are none
)

Format = Literal["json", DocumentFormat]


def render_transcript(found: JobTranscript, format: Format) -> Response:
    """Return the response with the text of a job."""
    headers = {STATUS_HEADER: str(found.job.state)}
    if found.filtered:
        headers[FILTERED_HEADER] = str(len(found.filtered))
    if format == "json":
        return Response(
            transcript_object(found).model_dump_json(), media_type="application/json", headers=headers
        )
    document = Transcript(found.job.source.name, found.job.model or "", found.segments)
    summary = None if found.job.summary is None else found.job.summary.text
    chapters = () if found.job.chapters is None else found.job.chapters.items
    content, media_type = write_document(document, format, summary, chapters)
    return Response(content, media_type=media_type, headers=headers)
