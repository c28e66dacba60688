"""Subtitles: what was said as cues that can be read in time, in SubRip (SRT) and WebVTT (W3C, 2019)."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Final

from audio.clip import SAMPLE_RATE, ms_from_samples, seconds_from_samples
from transcripts.transcript import Transcript, TranscriptSegment

LINE: Final = 42  # characters
LINES: Final = 2
LONGEST: Final = 7 * SAMPLE_RATE

_CLOSING: Final = tuple(".,;:?!…。、，？！")  # noqa: RUF001
_CLOSING_WORTH: Final = 0.3  # of half a text's length: how far from its middle a comma may draw the cut
_PAUSE_WORTH: Final = 1.0  # the same, for each second of silence


@dataclass(frozen=True, slots=True)
class Cue:
    """start, end: ms, start < end; lines: at most LINES of at most LINE characters"""

    start: int
    end: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Atom:
    """What no cue cuts: a word, with the blank behind it. start, end: samples"""

    text: str
    start: int
    end: int


def srt_of(transcript: Transcript) -> str:
    return "\n".join(
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{_text(cue)}"
        for number, cue in enumerate(cues_of(transcript.segments), 1)
    )


def vtt_of(transcript: Transcript) -> str:
    cues = (
        f"\n{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{_escaped(_text(cue))}"
        for cue in cues_of(transcript.segments)
    )
    return "".join(["WEBVTT\n", *cues])


def cues_of(segments: Sequence[TranscriptSegment]) -> Iterator[Cue]:
    """Cues of at most two lines and, unless a single word takes longer, seven seconds; cut between words.

    Where words have no times, they are spread over the segment by their length.
    """
    for segment in segments:
        text = " ".join(segment.hypothesis.text.split())
        if text:
            yield from map(_cue, _split(_heard(text, segment) or _spread(text, segment)))


def _heard(text: str, segment: TranscriptSegment) -> list[_Atom]:
    """The text cut before each word that the recognizer put in time; [] if its words do not make the text."""
    words = [word for word in segment.hypothesis.words if word.text.strip()]
    places, at = [], 0
    for word in words:
        token = " ".join(word.text.split())
        place = text.find(token, at)
        if place < 0 or any(map(str.isalnum, text[at:place])):
            return []
        places.append(place)
        at = place + len(token)
    pieces = [text[start:end] for start, end in pairwise([0, *places[1:], len(text)])]
    if not words or any(len(piece.strip()) > LINE for piece in pieces):
        return []
    atoms, now = [], segment.start
    for piece, word in zip(pieces, words, strict=True):
        start = min(max(word.start, now), segment.end)
        now = min(max(word.end, start), segment.end)
        atoms.append(_Atom(piece, start, now))
    atoms[0] = replace(atoms[0], start=segment.start)
    atoms[-1] = replace(atoms[-1], end=segment.end)
    return atoms


def _spread(text: str, segment: TranscriptSegment) -> list[_Atom]:
    """Each character takes as long as any other. A word that is longer than a line is several atoms."""
    pace = (segment.end - segment.start) / len(text)
    return [
        _Atom(
            found[0], segment.start + round(found.start() * pace), segment.start + round(found.end() * pace)
        )
        for found in re.finditer(rf"\S{{1,{LINE}}}\s?", text)
    ]


def _split(atoms: list[_Atom]) -> Iterator[list[_Atom]]:
    """Halves, and halves of halves, until each can be read."""
    if len(atoms) == 1 or _fits(atoms):
        yield atoms
        return
    cut = _best_cut(atoms)
    yield from _split(atoms[:cut])
    yield from _split(atoms[cut:])


def _fits(atoms: list[_Atom]) -> bool:
    return atoms[-1].end - atoms[0].start <= LONGEST and len(_lines(atoms)) <= LINES


def _best_cut(atoms: list[_Atom]) -> int:
    """Near the middle of the text; rather behind a comma, or where the speaker paused."""
    *reached, total = accumulate(len(atom.text) for atom in atoms)

    def cost(cut: int) -> float:
        before, behind = atoms[cut - 1], atoms[cut]
        closing = before.text.rstrip().endswith(_CLOSING)
        pause = seconds_from_samples(behind.start - before.end)
        return abs(2 * reached[cut - 1] / total - 1) - closing * _CLOSING_WORTH - pause * _PAUSE_WORTH

    return min(range(1, len(atoms)), key=cost)


def _cue(atoms: list[_Atom]) -> Cue:
    start = ms_from_samples(atoms[0].start)
    return Cue(start, max(ms_from_samples(atoms[-1].end), start + 1), tuple(_lines(atoms)))


def _lines(atoms: list[_Atom]) -> list[str]:
    return textwrap.wrap("".join(atom.text for atom in atoms), LINE, break_on_hyphens=False)


def _text(cue: Cue) -> str:
    return "".join(f"{line}\n" for line in cue.lines)


def _clock(ms: int, point: str) -> str:
    seconds, ms = divmod(ms, 1_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{ms:03}"


def _escaped(text: str) -> str:
    """What WebVTT would take for a tag, an entity or an arrow."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
