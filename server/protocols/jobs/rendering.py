"""Write the text of a job in the formats of /v1/jobs/{id}/transcript. Pure."""

from collections.abc import Callable
from typing import Final, Literal

from starlette.responses import Response

from jobs.job import JobTranscript
from server.protocols.jobs.messages import transcript_object
from server.protocols.openapi_schemas import TYPES
from transcripts.documents import docx_of, markdown_of
from transcripts.subtitles import ass_of, srt_of, vtt_of
from transcripts.transcript import Transcript, text_of

STATUS_HEADER: Final = "x-job-status"
FILTERED_HEADER: Final = (
    "x-filtered"  # number of texts that were removed or shortened; absent if there are none
)

Format = Literal["json", "text", "srt", "vtt", "ass", "md", "docx"]
_RENDERERS: Final[dict[Format, tuple[Callable[[Transcript], str | bytes], str]]] = {
    "text": (text_of, TYPES["text"]),
    "srt": (srt_of, TYPES["text"]),
    "vtt": (vtt_of, TYPES["vtt"]),
    "ass": (ass_of, TYPES["text"]),
    "md": (markdown_of, TYPES["markdown"]),
    "docx": (docx_of, TYPES["docx"]),
}


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
    render, media_type = _RENDERERS[format]
    return Response(render(document), media_type=media_type, headers=headers)
