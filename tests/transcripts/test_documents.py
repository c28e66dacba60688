"""Markdown and Word documents hold the text, the times and the speakers, whatever characters there are."""

import io
import zipfile
from dataclasses import replace
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Hypothesis
from tests.examples import examples
from transcripts.documents import document_paragraphs, docx_of, markdown_of
from transcripts.transcript import Transcript, TranscriptSegment

SECOND = 16_000
W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def segment(start: float, end: float, text: str) -> TranscriptSegment:
    return TranscriptSegment(round(start * SECOND), round(end * SECOND), Hypothesis(text))


def transcript(*segments: TranscriptSegment, source: str = "/tmp/talk.wav") -> Transcript:
    return Transcript(source, "pocketsphinx", segments)


TALK = transcript(
    segment(1, 3, "Good morning."), segment(3, 5, "How are you?"), segment(3_661, 3_663, "Fine.")
)
SPOKEN = replace(
    TALK,
    segments=tuple(
        replace(each, speaker=name) for each, name in zip(TALK.segments, ("Ann", "Bob", "Bob"), strict=True)
    ),
)


def docx_lines(content: bytes) -> list[str]:
    """Return the text of each paragraph, as a reader of OOXML finds it."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            ElementTree.fromstring(archive.read(name))
        root = ElementTree.fromstring(archive.read("word/document.xml"))
    found = []
    for paragraph in root.iter(f"{W}p"):
        parts = [
            "\n" if node.tag == f"{W}br" else node.text or ""
            for node in paragraph.iter()
            if node.tag in (f"{W}t", f"{W}br")
        ]
        found.append("".join(parts))
    return found


def test_markdown_has_title_times_and_paragraphs() -> None:
    assert markdown_of(TALK) == (
        "# talk.wav\n\n`00:00:01`  \nGood morning. How are you?\n\n`01:01:01`  \nFine.\n"
    )


def test_markdown_has_speakers_and_a_summary() -> None:
    text = markdown_of(SPOKEN, summary="They greet each other.")
    assert text == (
        "# talk.wav\n\n## Summary\n\nThey greet each other.\n\n## Transcript\n\n"
        "**Ann** `00:00:01`  \nGood morning.\n\n**Bob** `00:00:03`  \nHow are you?\n\n"
        "**Bob** `01:01:01`  \nFine.\n"
    )


def test_markdown_is_not_formatted_by_what_was_said() -> None:
    said = transcript(
        segment(0, 1, "# *No* <b>_bold_</b> [x](y)"), segment(9, 10, "1. one"), segment(19, 20, "- x")
    )
    _, *paragraphs = markdown_of(said).strip().split("\n\n")
    assert [each.split("\n")[1] for each in paragraphs] == [
        r"\# \*No\* \<b\>\_bold\_\</b\> \[x\](y)",
        r"1\. one",
        r"\- x",
    ]


def test_docx_has_title_times_paragraphs_speakers_and_summary() -> None:
    lines = docx_lines(docx_of(SPOKEN, summary="They greet each other."))
    assert lines == [
        *("talk.wav", "Summary", "They greet each other.", "Transcript"),
        *("Ann 00:00:01\nGood morning.", "Bob 00:00:03\nHow are you?", "Bob 01:01:01\nFine."),
    ]


def test_same_transcript_gives_the_same_docx() -> None:
    assert docx_of(TALK) == docx_of(TALK)


def test_docx_parts_are_named_by_their_types_and_relationships() -> None:
    with zipfile.ZipFile(io.BytesIO(docx_of(TALK))) as archive:
        names = set(archive.namelist())
        types = ElementTree.fromstring(archive.read("[Content_Types].xml"))
        package = ElementTree.fromstring(archive.read("_rels/.rels"))
    assert {node.get("PartName", "")[1:] for node in types if node.get("PartName")} <= names
    assert {node.get("Target") for node in package} <= names


def test_paragraph_ends_at_speakers_pauses_and_a_number_of_segments() -> None:
    said = [segment(n, n + 1, f"{n}.") for n in range(7)] + [segment(20, 21, "late.")]
    assert [each.text for each in document_paragraphs(said)] == ["0. 1. 2. 3. 4.", "5. 6.", "late."]
    names = ["A", "A", "B", *["A"] * 5]
    said = [replace(each, speaker=name) for each, name in zip(said, names, strict=True)]
    assert [each.speaker for each in document_paragraphs(said)] == ["A", "B", "A", "A"]


def test_no_text_is_a_document_with_a_title() -> None:
    assert markdown_of(transcript(segment(0, 1, " "), source="")) == "# Transcript\n"
    assert docx_lines(docx_of(transcript(source=""))) == ["Transcript"]


@examples(60)
@given(st.text(max_size=40), st.text(max_size=20))
def test_any_text_is_in_the_docx_but_for_characters_that_xml_forbids(text: str, speaker: str) -> None:
    lines = docx_lines(docx_of(transcript(replace(segment(0, 1, f"a{text}b"), speaker=speaker))))
    kept = [char for char in text if char.isprintable() and not char.isspace()]
    shown = iter(lines[1])
    assert all(char in shown for char in kept)
