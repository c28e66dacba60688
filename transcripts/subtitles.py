"""Write transcripts as subtitles in SubRip (SRT) and WebVTT (W3C, 2019), with cues of readable length."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

from audio.clip import SAMPLE_RATE, ms_from_samples, seconds_from_samples
from transcripts.segments import text_before_words
from transcripts.transcript import Transcript, TranscriptSegment, speaker_prefix

MAX_LINE_CHARS: Final = 42
MAX_LINES: Final = 2
MAX_CUE_SAMPLES: Final = 7 * SAMPLE_RATE

_PUNCTUATION: Final = tuple(".,;:?!…。、，？！")  # noqa: RUF001
# A cut may be this much further from the middle of a text, as a fraction of half its length, if it follows
# punctuation, or for each second of silence there.
_PUNCTUATION_BONUS: Final = 0.3
_PAUSE_BONUS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Cue:
    """Hold a subtitle.

    start, end: milliseconds, start < end
    lines: at most MAX_LINES of at most MAX_LINE_CHARS characters
    speaker: label, if speakers are distinguished
    """

    start: int
    end: int
    lines: tuple[str, ...]
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class _TimedText:
    """Hold a piece of text that is not divided between cues: a word with the space after it.

    start, end: samples
    """

    text: str
    start: int
    end: int


def srt_of(transcript: Transcript) -> str:
    """Return a transcript as SubRip. A cue after a change of the speaker begins with the speaker's label."""
    return "\n".join(
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{_text(cue)}"
        for number, cue in enumerate(cues_of(transcript.segments, labels=True), 1)
    )


def vtt_of(transcript: Transcript) -> str:
    """Return a transcript as WebVTT, with the speakers as voices."""
    cues = (
        f"\n{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{_voice(cue)}{_escape(_text(cue))}"
        for cue in cues_of(transcript.segments)
    )
    return "".join(["WEBVTT\n", *cues])


def cues_of(segments: Sequence[TranscriptSegment], labels: bool = False) -> Iterator[Cue]:
    """Yield cues of at most two lines and seven seconds, cut between words; a long word may exceed that.

    Words without times are distributed over their segment by their length.
    labels: whether the text after a change of the speaker begins with the speaker's label
    """
    before = None
    for segment in segments:
        text = " ".join(segment.hypothesis.text.split())
        if text:
            texts = _timed_words(text, segment) or _spread_evenly(text, segment)
            if labels and segment.speaker != before:
                texts[0] = replace(texts[0], text=speaker_prefix(segment.speaker) + texts[0].text)
            before = segment.speaker
            for part in _split(texts):
                yield replace(_cue(part), speaker=segment.speaker)


def _timed_words(text: str, segment: TranscriptSegment) -> list[_TimedText]:
    """Cut the text before each word with a time; return [] if the words do not make up the text."""
    words = [word for word in segment.hypothesis.words if word.text.strip()]
    pieces = text_before_words(text, words)
    if pieces is None or not words or any(len(piece.strip()) > MAX_LINE_CHARS for piece in pieces):
        return []
    texts, now = [], segment.start
    for piece, word in zip(pieces, words, strict=True):
        start = min(max(word.start, now), segment.end)
        now = min(max(word.end, start), segment.end)
        texts.append(_TimedText(piece, start, now))
    texts[0] = replace(texts[0], start=segment.start)
    texts[-1] = replace(texts[-1], end=segment.end)
    return texts


def _spread_evenly(text: str, segment: TranscriptSegment) -> list[_TimedText]:
    """Divide the segment evenly over the characters; a word longer than a line is divided."""
    pace = (segment.end - segment.start) / len(text)
    return [
        _TimedText(
            found[0], segment.start + round(found.start() * pace), segment.start + round(found.end() * pace)
        )
        for found in re.finditer(rf"\S{{1,{MAX_LINE_CHARS}}}\s?", text)
    ]


def _split(texts: list[_TimedText]) -> Iterator[list[_TimedText]]:
    """Halve the text until each part fits into a cue."""
    if len(texts) == 1 or _fits(texts):
        yield texts
        return
    cut = _best_cut(texts)
    yield from _split(texts[:cut])
    yield from _split(texts[cut:])


def _fits(texts: list[_TimedText]) -> bool:
    return texts[-1].end - texts[0].start <= MAX_CUE_SAMPLES and len(_lines(texts)) <= MAX_LINES


def _best_cut(texts: list[_TimedText]) -> int:
    """Return a cut near the middle of the text, preferably after punctuation or at a pause."""
    *reached, total = accumulate(len(piece.text) for piece in texts)

    def cost(cut: int) -> float:
        before, after = texts[cut - 1], texts[cut]
        punctuation = before.text.rstrip().endswith(_PUNCTUATION)
        pause = seconds_from_samples(after.start - before.end)
        return abs(2 * reached[cut - 1] / total - 1) - punctuation * _PUNCTUATION_BONUS - pause * _PAUSE_BONUS

    return min(range(1, len(texts)), key=cost)


def _cue(texts: list[_TimedText]) -> Cue:
    start = ms_from_samples(texts[0].start)
    return Cue(start, max(ms_from_samples(texts[-1].end), start + 1), tuple(_lines(texts)))


def _lines(texts: list[_TimedText]) -> list[str]:
    return textwrap.wrap("".join(piece.text for piece in texts), MAX_LINE_CHARS, break_on_hyphens=False)


def _text(cue: Cue) -> str:
    return "".join(f"{line}\n" for line in cue.lines)


def _voice(cue: Cue) -> str:
    return "" if cue.speaker is None else f"<v {_escape(cue.speaker)}>"


def _clock(ms: int, point: str) -> str:
    seconds, ms = divmod(ms, 1_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{ms:03}"


def _escape(text: str) -> str:
    """Escape the characters of tags, entities and arrows in WebVTT."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
