"""Hold the transcript of a file, and write it as plain text and as JSON."""

from dataclasses import dataclass
from typing import Final

import orjson

from asr.recognizer import Hypothesis, Word
from audio.clip import ms_from_samples
from audio.files import Info, Track

MS_PER_SECOND: Final = 1_000


@dataclass(frozen=True, slots=True)
class TranscriptSegment:
    """Hold a segment; start, end: samples of the stream."""

    start: int
    end: int
    hypothesis: Hypothesis


@dataclass(frozen=True, slots=True)
class Transcript:
    """Hold the transcript of a file.

    source: name of the file
    model: name of the model
    segments: in order of time; each has text
    warnings: sentences about sound that may be missing and times that may be wrong
    info: description of the file, if it was checked
    """

    source: str
    model: str
    segments: tuple[TranscriptSegment, ...]
    warnings: tuple[str, ...] = ()
    info: Info | None = None

    @property
    def text(self) -> str:
        """Return the text in one line."""
        return " ".join(segment.hypothesis.text for segment in self.segments)


def text_of(transcript: Transcript) -> str:
    """Return the text with one line per segment."""
    return "".join(f"{' '.join(segment.hypothesis.text.split())}\n" for segment in transcript.segments)


def json_of(transcript: Transcript) -> str:
    """Return one line of JSON with file, model, text and segments, and warnings and tracks if there are any.

    Times are in seconds with a resolution of 1 ms.
    """
    document = {
        "file": transcript.source,
        "model": transcript.model,
        "text": transcript.text,
        "segments": [_segment(segment) for segment in transcript.segments],
        **tracks_of(transcript),
    }
    if transcript.warnings:
        document["warnings"] = transcript.warnings
    return orjson.dumps(document).decode() + "\n"


def tracks_of(transcript: Transcript) -> dict[str, object]:
    """Return the index of the track that was used, and all audio tracks of the file; nothing if unknown."""
    info = transcript.info
    return {} if info is None else {"track": info.track.index, "tracks": list(map(_track, info.tracks))}


def _track(track: Track) -> dict[str, object]:
    return {
        "index": track.index,
        "language": track.language,
        "title": track.title,
        "default": track.default,
        "channels": track.channels,
    }


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
    return ms_from_samples(samples) / MS_PER_SECOND
