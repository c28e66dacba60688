"""Write transcripts in the text formats that several protocols offer. Pure."""

from collections.abc import Callable
from typing import Final, Literal

from server.protocols.openapi_schemas import TYPES
from transcripts.documents import docx_of, markdown_of
from transcripts.subtitles import ass_of, srt_of, vtt_of
from transcripts.transcript import Transcript, text_of

DocumentFormat = Literal["text", "srt", "vtt", "ass", "md", "docx"]
_WRITERS: Final[dict[DocumentFormat, tuple[Callable[[Transcript], str | bytes], str]]] = {
    "text": (text_of, TYPES["text"]),
    "srt": (srt_of, TYPES["text"]),
    "vtt": (vtt_of, TYPES["vtt"]),
    "ass": (ass_of, TYPES["text"]),
    "md": (markdown_of, TYPES["markdown"]),
    "docx": (docx_of, TYPES["docx"]),
}


def write_document(transcript: Transcript, format: DocumentFormat) -> tuple[str | bytes, str]:
    """Return the content of a document, and its media type."""
    write, media_type = _WRITERS[format]
    return write(transcript), media_type
