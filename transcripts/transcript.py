"""Transcript: what was said in a whole file, as plain text and as JSON."""

from dataclasses import dataclass
from typing import Final

import orjson

from asr.recognizer import Hypothesis, Word
from audio.clip import ms_from_samples

MS: Final = 1_000  # of a second


@dataclass(frozen=True, slots=True)
class TranscriptSegment:
    """start, end: samples of the stream."""

    start: int
    end: int
    hypothesis: Hypothesis


@dataclass(frozen=True, slots=True)
class Transcript:
    """source: the file's name; model: the recognizer's

    segments: in the order of speech, none without text
    """

    source: str
    model: str
    segments: tuple[TranscriptSegment, ...]

    @property
    def text(self) -> str:
        """In one line."""
        return " ".join(segment.hypothesis.text for segment in self.segments)


def text_of(transcript: Transcript) -> str:
    """A line for each segment."""
    return "".join(f"{' '.join(segment.hypothesis.text.split())}\n" for segment in transcript.segments)


def json_of(transcript: Transcript) -> str:
    """One line: file, model, text and the segments; times in seconds, to the millisecond."""
    document = {
        "file": transcript.source,
        "model": transcript.model,
        "text": transcript.text,
        "segments": [_segment(segment) for segment in transcript.segments],
    }
    return orjson.dumps(document).decode() + "\n"


def _segment(segment: TranscriptSegment) -> dict[str, object]:
    hypothesis = segment.hypothesis
    return {
        "start": _seconds(segment.start),
        "end": _seconds(segment.end),
        "text": hypothesis.text,
        "language": hypothesis.language,
        "confidence": hypothesis.confidence,
        "words": [_word(word) for word in hypothesis.words],
    }


def _word(word: Word) -> dict[str, object]:
    return {
        "word": word.text,
        "start": _seconds(word.start),
        "end": _seconds(word.end),
        "confidence": word.confidence,
    }


def _seconds(samples: int) -> float:
    return ms_from_samples(samples) / MS
