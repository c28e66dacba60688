"""Hold the transcript of a file, and write it as plain text and as JSON."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import orjson

from asr.recognizer import Hypothesis, Word
from audio.clip import ms_from_samples
from audio.files import Info, Track
from postprocessing.summary_types import Chapters, Passage

MS_PER_SECOND: Final = 1_000


@dataclass(frozen=True, slots=True)
class TranscriptSegment:
    """Hold a segment.

    start, end: samples of the stream
    speaker: label; None unless speakers are distinguished
    overlap: whether several people speak at once, if the words have no times; False unless speakers are
        distinguished
    """

    start: int
    end: int
    hypothesis: Hypothesis
    speaker: str | None = None
    overlap: bool = False

    @property
    def is_overlap(self) -> bool:
        """Whether several people speak at once in it."""
        words = self.hypothesis.words
        return any(word.overlap for word in words) if words else self.overlap

    def shifted(self, samples: int) -> Self:
        """Return the segment at a place that lies so many samples later; its words move along."""
        words = tuple(
            replace(word, start=word.start + samples, end=word.end + samples)
            for word in self.hypothesis.words
        )
        return replace(
            self,
            start=self.start + samples,
            end=self.end + samples,
            hypothesis=replace(self.hypothesis, words=words),
        )


@dataclass(frozen=True, slots=True)
class FilteredText:
    """Report that the filter removed or shortened the text of a segment; start, end: samples of the stream.

    guard: why, a name of asr.hallucination_filter.NAMES
    """

    start: int
    end: int
    guard: str


@dataclass(frozen=True, slots=True)
class Transcript:
    """Hold the transcript of a file.

    source: name of the file
    model: name of the model
    segments: in order of time; each has text
    filtered: in order of time
    warnings: sentences about sound that may be missing and times that may be wrong
    info: description of the file, if it was checked
    cuts: where the picture of a video changes at once, in samples, ascending; empty unless they were sought
    """

    source: str
    model: str
    segments: tuple[TranscriptSegment, ...]
    filtered: tuple[FilteredText, ...] = ()
    warnings: tuple[str, ...] = ()
    info: Info | None = None
    cuts: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """Return the text in one line."""
        return " ".join(segment.hypothesis.text for segment in self.segments)


def passages_of(segments: Iterable[TranscriptSegment]) -> list[Passage]:
    """Return segments with their times in seconds, as chapters are found in them."""
    return [
        Passage(_seconds(segment.start), _seconds(segment.end), segment.hypothesis.text)
        for segment in segments
    ]


def speech_by_language(segments: Iterable[TranscriptSegment]) -> Counter[str]:
    """Return the samples of speech of each language that is known, by its ISO 639-1 code."""
    spoken: Counter[str] = Counter()
    for segment in segments:
        if segment.hypothesis.language:
            spoken[segment.hypothesis.language] += segment.end - segment.start
    return spoken


def text_of(transcript: Transcript) -> str:
    """Return the text with one line per segment, which begins with the speaker if he is known."""
    return "".join(
        f"{speaker_prefix(segment.speaker)}{' '.join(segment.hypothesis.text.split())}\n"
        for segment in transcript.segments
    )


def speaker_prefix(speaker: str | None) -> str:
    """Return what names a speaker in front of what is said; "" if the speaker is unknown."""
    return "" if speaker is None else f"{speaker}: "


def chapters_fields(chapters: Chapters) -> dict[str, object]:
    """Return `items` with start in seconds and title, and the model that wrote them or why there are none."""
    items = [{"start": round(each.start, 3), "title": each.title} for each in chapters.items]
    optional = {"model": chapters.model, "reason": chapters.reason}
    return {"items": items} | {name: value for name, value in optional.items() if value is not None}


def json_of(
    transcript: Transcript,
    words: bool = True,
    summary: Mapping[str, object] | None = None,
    chapters: Chapters | None = None,
) -> str:
    """Return one line of JSON with file, model, text, segments, and what else there is of the file.

    That is a summary, chapters, filtered texts, warnings and tracks.

    Times are in seconds with a resolution of 1 ms. Without `words` the lists of words are empty.
    """
    document: dict[str, object] = {
        "file": transcript.source,
        "model": transcript.model,
        "text": transcript.text,
        "segments": [_segment(segment, words) for segment in transcript.segments],
        **tracks_of(transcript),
    }
    if summary is not None:
        document["summary"] = summary
    if chapters is not None:
        document["chapters"] = chapters_fields(chapters)
    if transcript.filtered:
        document["filtered"] = filtered_fields(transcript.filtered)
    if transcript.warnings:
        document["warnings"] = transcript.warnings
    return orjson.dumps(document).decode() + "\n"


def tracks_of(transcript: Transcript) -> dict[str, object]:
    """Return the index of the track that was used, and all audio tracks of the file; nothing if unknown."""
    info = transcript.info
    return {} if info is None else {"track": info.track.index, "tracks": list(map(_track, info.tracks))}


def filtered_fields(filtered: Sequence[FilteredText]) -> list[dict[str, object]]:
    """Return start and end in seconds and the guard of each filtered text."""
    return [
        {"start": _seconds(each.start), "end": _seconds(each.end), "guard": each.guard} for each in filtered
    ]


def _track(track: Track) -> dict[str, object]:
    return {
        "index": track.index,
        "language": track.language,
        "title": track.title,
        "default": track.default,
        "channels": track.channels,
    }


def _segment(segment: TranscriptSegment, words: bool) -> dict[str, object]:
    hypothesis = segment.hypothesis
    return {
        **speaker_fields(segment),
        "start": _seconds(segment.start),
        "end": _seconds(segment.end),
        "text": hypothesis.text,
        "language": hypothesis.language,
        "confidence": hypothesis.confidence,
        "words": [_word(word) for word in hypothesis.words] if words else [],
    }


def _word(word: Word) -> dict[str, object]:
    return {
        "word": word.text,
        "start": _seconds(word.start),
        "end": _seconds(word.end),
        "confidence": word.confidence,
        **speaker_fields(word),
    }


def speaker_fields(part: TranscriptSegment | Word) -> dict[str, str | bool]:
    """Return `speaker`, unless it is unknown, and `overlap`, only where several people speak at once."""
    fields: dict[str, str | bool] = {} if part.speaker is None else {"speaker": part.speaker}
    is_overlap = part.is_overlap if isinstance(part, TranscriptSegment) else part.overlap
    return fields | {"overlap": True} if is_overlap else fields


def _seconds(samples: int) -> float:
    return ms_from_samples(samples) / MS_PER_SECOND
