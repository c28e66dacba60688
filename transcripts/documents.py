"""Write transcripts as documents for readers: Markdown (CommonMark) and Word (OOXML, ECMA-376)."""

import io
import re
import zipfile
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final
from xml.sax.saxutils import escape

from audio.clip import SAMPLE_RATE, ms_from_samples, samples_from_ms
from postprocessing.summary_types import Chapter
from transcripts.paragraphs import MAX_SENTENCES, PARAGRAPH_GAP_MS
from transcripts.transcript import Transcript, TranscriptSegment

GAP: Final = samples_from_ms(PARAGRAPH_GAP_MS)
CHAPTER_TOLERANCE: Final = SAMPLE_RATE // 100  # Times of chapters are rounded to milliseconds.
MAX_PARAGRAPH_SAMPLES: Final = 60 * SAMPLE_RATE  # The time at its beginning is to be useful.

# Characters with a meaning in CommonMark anywhere in a line, and those that begin a block.
_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]<>#|~&])|^([-+=>])|^(\d+)([.)])", re.MULTILINE)
_NOT_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_STAMP: Final = (1980, 1, 1, 0, 0, 0)  # of the files in the archive: the same transcript gives the same bytes

_CONTENT_TYPES: Final = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">\
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>\
<Default Extension="xml" ContentType="application/xml"/>\
<Override PartName="/word/document.xml" \
ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/>\
<Override PartName="/word/styles.xml" \
ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.styles+xml"/></Types>"""
_RELATIONSHIPS: Final = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">\
<Relationship Id="rId1" Target="word/document.xml" \
Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"/></Relationships>"""
_DOCUMENT_RELATIONSHIPS: Final = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">\
<Relationship Id="rId1" Target="styles.xml" \
Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles"/></Relationships>"""
_W: Final = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_STYLES: Final = f"""<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<w:styles {_W}>\
<w:style w:type="paragraph" w:default="1" w:styleId="Normal"><w:name w:val="Normal"/>\
<w:pPr><w:spacing w:after="160" w:line="276" w:lineRule="auto"/></w:pPr>\
<w:rPr><w:sz w:val="22"/></w:rPr></w:style>\
<w:style w:type="paragraph" w:styleId="Title"><w:name w:val="Title"/><w:basedOn w:val="Normal"/>\
<w:rPr><w:b/><w:sz w:val="36"/></w:rPr></w:style>\
<w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/><w:basedOn w:val="Normal"/>\
<w:pPr><w:outlineLvl w:val="0"/></w:pPr><w:rPr><w:b/><w:sz w:val="28"/></w:rPr></w:style></w:styles>"""
_BOLD: Final = "<w:rPr><w:b/></w:rPr>"
_GREY: Final = '<w:rPr><w:color w:val="808080"/></w:rPr>'


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Hold some segments of one speaker.

    start: sample of the stream
    speaker: None if unknown
    """

    start: int
    speaker: str | None
    text: str


def markdown_of(transcript: Transcript, summary: str | None = None, chapters: Sequence[Chapter] = ()) -> str:
    """Return a transcript as Markdown: the name of the file, a summary if there is one, and paragraphs.

    A chapter begins with a heading and a paragraph.
    """
    parts = [f"# {_markdown(_title(transcript))}"]
    if summary:
        parts += ["## Summary", _markdown(summary)]
        if not chapters:
            parts.append("## Transcript")
    for each in _with_chapters(transcript.segments, chapters):
        if isinstance(each, Chapter):
            parts.append(f"## {_markdown(each.title)}")
            continue
        speaker = f"**{_markdown(each.speaker)}** " if each.speaker else ""
        parts.append(f"{speaker}`{_clock(each.start)}`  \n{_markdown(each.text)}")
    return "\n\n".join(parts) + "\n"


def docx_of(transcript: Transcript, summary: str | None = None, chapters: Sequence[Chapter] = ()) -> bytes:
    """Return a transcript as a Word document with the content of `markdown_of`."""
    body = [_paragraph(_run(_title(transcript)), "Title")]
    if summary:
        body += [_paragraph(_run("Summary"), "Heading1"), _paragraph(_run(summary))]
        if not chapters:
            body.append(_paragraph(_run("Transcript"), "Heading1"))
    for each in _with_chapters(transcript.segments, chapters):
        if isinstance(each, Chapter):
            body.append(_paragraph(_run(each.title), "Heading1"))
            continue
        speaker = _run(f"{each.speaker} ", _BOLD) if each.speaker else ""
        head = f"{speaker}{_run(_clock(each.start), _GREY)}<w:r><w:br/></w:r>"
        body.append(_paragraph(head + _run(each.text)))
    document = (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        f"<w:document {_W}><w:body>{''.join(body)}<w:sectPr/></w:body></w:document>"
    )
    return _archive(
        {
            "[Content_Types].xml": _CONTENT_TYPES,
            "_rels/.rels": _RELATIONSHIPS,
            "word/document.xml": document,
            "word/styles.xml": _STYLES,
            "word/_rels/document.xml.rels": _DOCUMENT_RELATIONSHIPS,
        }
    )


def _with_chapters(
    segments: Sequence[TranscriptSegment], chapters: Sequence[Chapter]
) -> Iterator[Chapter | Paragraph]:
    """Yield the paragraphs, and each chapter before those that begin with it; none ends within a chapter."""
    starts = [round(chapter.start * SAMPLE_RATE) - CHAPTER_TOLERANCE for chapter in chapters]
    places = [bisect_left(segments, start, key=lambda segment: segment.start) for start in starts]
    yield from document_paragraphs(segments[: places[0]] if places else segments)
    for chapter, (place, end) in zip(chapters, pairwise([*places, len(segments)]), strict=False):
        yield chapter
        yield from document_paragraphs(segments[place:end])


def document_paragraphs(segments: Sequence[TranscriptSegment]) -> Iterator[Paragraph]:
    """Yield the paragraphs of a transcript.

    A paragraph ends at a change of the speaker, at a pause of PARAGRAPH_GAP_MS, after MAX_SENTENCES segments,
    and after a minute.
    """
    begun: list[TranscriptSegment] = []
    for segment in segments:
        if not segment.hypothesis.text.strip():
            continue
        if begun and (segment.speaker != begun[0].speaker or _ends(begun, segment)):
            yield _joined(begun)
            begun = []
        begun.append(segment)
    if begun:
        yield _joined(begun)


def _ends(paragraph: Sequence[TranscriptSegment], following: TranscriptSegment) -> bool:
    first, last = paragraph[0], paragraph[-1]
    is_full = len(paragraph) == MAX_SENTENCES or last.end - first.start >= MAX_PARAGRAPH_SAMPLES
    return is_full or following.start - last.end >= GAP


def _joined(segments: Sequence[TranscriptSegment]) -> Paragraph:
    text = " ".join(segment.hypothesis.text for segment in segments)
    return Paragraph(segments[0].start, segments[0].speaker, " ".join(text.split()))


def _title(transcript: Transcript) -> str:
    return re.split(r"[\\/]", transcript.source)[-1] or "Transcript"


def _clock(samples: int) -> str:
    seconds = ms_from_samples(samples) // 1_000
    return f"{seconds // 3_600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _markdown(text: str) -> str:
    """Escape what CommonMark would format, in a text of one line."""

    def escaped(found: re.Match[str]) -> str:
        return f"{found[3]}\\{found[4]}" if found[3] else f"\\{found[0]}"

    return _MARKDOWN.sub(escaped, " ".join(text.split()))


def _paragraph(content: str, style: str | None = None) -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}{content}</w:p>"


def _run(text: str, properties: str = "") -> str:
    shown = escape(_NOT_XML.sub("", text))
    return f'<w:r>{properties}<w:t xml:space="preserve">{shown}</w:t></w:r>'


def _archive(files: dict[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            info = zipfile.ZipInfo(name, _STAMP)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, text.encode())
    return content.getvalue()
