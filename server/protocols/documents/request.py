"""Parse the transcripts and subtitles that clients send. Pure."""

from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from asr.recognizer import Hypothesis, Word
from audio.clip import SAMPLE_RATE
from postprocessing.summary_types import Chapter
from server.errors import invalid
from server.validation import path_of, sentence_of
from transcripts.subtitles import SubtitleError, read_subtitles
from transcripts.transcript import Transcript, TranscriptSegment

MAX_SEGMENTS: Final = 100_000
MAX_CHARS: Final = 1_000_000  # of all texts; more than 15 hours of speech
MAX_TITLE_CHARS: Final = 500
MAX_SPEAKER_CHARS: Final = 200
MAX_CHAPTERS: Final = 1_000
MAX_SUMMARY_CHARS: Final = 20_000
MAX_SECONDS: Final = 1_000_000  # of a time; more than eleven days

Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS)]


class _Fields(BaseModel):
    # Other fields are ignored, so that the JSON of a job and of `verbose_json` can be sent as it is.
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class WordFields(_Fields):
    """Hold a word; times are seconds."""

    word: str
    start: Seconds
    end: Seconds


class SegmentFields(_Fields):
    """Hold a segment; times are seconds."""

    start: Seconds
    end: Seconds
    text: str
    speaker: str | None = Field(None, max_length=MAX_SPEAKER_CHARS, description="name of the speaker")
    words: list[WordFields] = Field(
        [],
        description="in order; without them, or if they are not those of the text, its time is distributed",
    )


class SummaryText(_Fields):
    """Hold the summary of a transcript."""

    text: str = Field(max_length=MAX_SUMMARY_CHARS)


class ChapterFields(_Fields):
    """Hold a chapter; start: seconds."""

    start: Seconds
    title: str = Field(max_length=MAX_TITLE_CHARS)


class ChapterList(_Fields):
    """Hold the chapters of a transcript."""

    items: list[ChapterFields] = Field(max_length=MAX_CHAPTERS)


class DocumentFields(_Fields):
    """Hold a transcript."""

    title: str = Field("", max_length=MAX_TITLE_CHARS, description="heading of a document")
    segments: list[SegmentFields] = Field(max_length=MAX_SEGMENTS)
    summary: SummaryText | None = Field(None, description="shown by `md` and `docx`")
    chapters: ChapterList | None = Field(None, description="headings of `md` and `docx`")


@dataclass(frozen=True, slots=True)
class GivenTranscript:
    """Hold a transcript that a client sent, with its segments in order of time.

    summary: "" if it has none
    chapters: in order of time
    """

    transcript: Transcript
    summary: str = ""
    chapters: tuple[Chapter, ...] = ()


def parse_transcript(content: bytes) -> GivenTranscript:
    """Return the transcript of a JSON text. Raises ApiError."""
    try:
        fields = DocumentFields.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        param = path_of(first)
        if first["type"] == "json_invalid":
            raise invalid("The body is not JSON.", code="invalid_body") from None
        if not param:
            raise invalid(f"Invalid body: {sentence_of(first)}.", code="invalid_body") from None
        raise invalid(f"Invalid '{param}': {sentence_of(first)}.", param) from None
    if sum(len(segment.text) for segment in fields.segments) > MAX_CHARS:
        raise invalid(f"The texts have more than {MAX_CHARS} characters together.", "segments")
    for number, each in enumerate(fields.segments):
        if each.end < each.start:
            param = f"segments.{number}.end"
            raise invalid(f"Invalid '{param}': the segment ends before it begins.", param)
    segments = sorted(map(_segment, fields.segments), key=lambda segment: segment.start)
    summary = "" if fields.summary is None else fields.summary.text
    given = () if fields.chapters is None else fields.chapters.items
    chapters = tuple(Chapter(each.start, each.title) for each in sorted(given, key=lambda each: each.start))
    return GivenTranscript(Transcript(fields.title, "", tuple(segments)), summary, chapters)


def _segment(fields: SegmentFields) -> TranscriptSegment:
    words = tuple(Word(each.word, _samples(each.start), _samples(each.end)) for each in fields.words)
    start = _samples(fields.start)
    end = max(_samples(fields.end), start + 1)
    text = " ".join(fields.text.split())
    return TranscriptSegment(start, end, Hypothesis(text, words), fields.speaker or None)


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)


def read_segments(content: bytes, *, speakers: bool) -> dict[str, object]:
    """Return the segments of subtitles as `/v1/documents` takes them; times are seconds.

    speakers: whether names before colons in SubRip are those of speakers

    Raises ApiError.
    """
    try:
        cues = read_subtitles(content.decode("utf-8-sig"), labels=speakers)
    except UnicodeDecodeError:
        raise invalid("The subtitles are no text in UTF-8.", code="invalid_body") from None
    except SubtitleError as error:
        raise invalid(f"The subtitles cannot be read: {error}.", code="invalid_body") from None
    if not cues:
        raise invalid("There are no subtitles in the file.", code="invalid_body")
    return {
        "segments": [
            {
                "start": cue.start / 1_000,
                "end": cue.end / 1_000,
                "text": " ".join(cue.lines),
                "speaker": None if cue.speaker is None else cue.speaker[:MAX_SPEAKER_CHARS],
            }
            for cue in cues
        ]
    }
