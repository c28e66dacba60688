"""Write transcripts in the text formats that several protocols offer. Pure."""

from collections.abc import Callable, Sequence
from typing import Final, Literal

from postprocessing.summary_types import Chapter
from server.protocols.openapi_schemas import TYPES
from transcripts.documents import docx_of, markdown_of
from transcripts.subtitles import ass_of, srt_of, vtt_of
from transcripts.transcript import Transcript, text_of

DocumentFormat = Literal["text", "srt", "vtt", "ass", "md", "docx"]
_WRITERS: Final[dict[str, tuple[Callable[[Transcript], str], str]]] = {
    "text": (text_of, TYPES["text"]),
    "srt": (srt_of, TYPES["text"]),
    "vtt": (vtt_of, TYPES["vtt"]),
    "ass": (ass_of, TYPES["text"]),
}


def write_document(
    transcript: Transcript,
    format: DocumentFormat,
    summary: str | None = None,
    chapters: Sequence[Chapter] = (),
) -> tuple[str | bytes, str]:
    """Return the content of a document, and its media type.

    summary, chapters: shown by the formats for readers, `md` and `docx`
    """
    if format == "md":
        return markdown_of(transcript, summary, chapters), TYPES["markdown"]
    if format == "docx":
        return docx_of(transcript, summary, chapters), TYPES["docx"]
    write, media_type = _WRITERS[format]
    return write(transcript), media_type
