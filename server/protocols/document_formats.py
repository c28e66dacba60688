"""Write transcripts in the text formats that several protocols offer. Pure."""

from collections.abc import Callable
from typing import Final, Literal

from server.protocols.openapi_schemas import TYPES
from transcripts.documents import docx_of, markdown_of
from transcripts.subtitles import ass_of, srt_of, vtt_of
from transcripts.transcript import Transcript, text_of

DocumentFormat = Literal["text", "srt", "vtt", "ass", "md", "docx"]
_WRITERS: Final[dict[DocumentFormat, tuple[Callable[[Transcript, str | None], str | bytes], str]]] = {
    "text": (lambda transcript, summary: text_of(transcript), TYPES["text"]),
    "srt": (lambda transcript, summary: srt_of(transcript), TYPES["text"]),
    "vtt": (lambda transcript, summary: vtt_of(transcript), TYPES["vtt"]),
    "ass": (lambda transcript, summary: ass_of(transcript), TYPES["text"]),
    "md": (markdown_of, TYPES["markdown"]),
    "docx": (docx_of, TYPES["docx"]),
}


def write_document(
    transcript: Transcript, format: DocumentFormat, summary: str | None = None
) -> tuple[str | bytes, str]:
    """Return the content of a document, and its media type.

    summary: shown by the formats for readers, `md` and `docx`; None if there is none
    """
    write, media_type = _WRITERS[format]
    return write(transcript, summary), media_type
