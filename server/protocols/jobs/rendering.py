"""Write the text of a job in the formats of /v1/jobs/{id}/transcript. Pure."""

from typing import Final, Literal

from starlette.responses import Response

from jobs.job import JobTranscript
from server.protocols.jobs.messages import transcript_object
from transcripts.subtitles import srt_of, vtt_of
from transcripts.transcript import Transcript, text_of

STATUS_HEADER: Final = "x-job-status"
FILTERED_HEADER: Final = (
    "x-filtered"  # number of texts that were removed or shortened; absent if there are none
)

Format = Literal["json", "text", "srt", "vtt"]


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
    render = {"text": text_of, "srt": srt_of, "vtt": vtt_of}[format]
    media_type = "text/vtt" if format == "vtt" else "text/plain"
    return Response(render(document), media_type=media_type, headers=headers)
