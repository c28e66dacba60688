"""Divide a transcript into subtitles that a viewer can read, as broadcasters ask for them.

The rules are those that broadcasters share: two lines of 42 characters, one to seven seconds, at most 20
characters a second, a gap of two frames, and no cue over a change of the speaker or of the picture. Text is
never left out, so speech can be too fast for them. Then these yield, the first one first:

1. the reading speed, if no pause follows in which the cue could stay;
2. the synchrony: a cue starts up to MAX_LAG_MS late, so that a short one before it can stay for MIN_CUE_MS;
3. MIN_CUE_MS.

Lines, MAX_CUE_MS, the gap, speakers and cuts never yield, but speakers who talk at once have cues at once.

A cue next to a cut would flash, so its time is moved onto the cut (Netflix, Timed Text Style Guide, "Shot
changes"; frames of 24 a second): speech that begins up to SNAP_START_MS before or after a cut is shown from
the cut on; speech that ends up to SNAP_START_MS after a cut is shown before it; and a cue that would end less
than SNAP_END_MS before a cut stays until the gap before it.
"""

import math
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from typing import Final

from asr.word_spans import text_before_words
from audio.clip import ms_from_samples
from transcripts.line_breaks import CLAUSE_ENDS, SENTENCE_ENDS, columns, is_unspaced, unbroken_pieces
from transcripts.paragraphs import ABBREVIATIONS
from transcripts.transcript import TranscriptSegment

MAX_LINE_COLUMNS: Final = 42  # characters; a wide one of Chinese, Japanese or Korean counts as two
MAX_LINES: Final = 2
MIN_CUE_MS: Final = 1_000
MAX_CUE_MS: Final = 7_000
MAX_COLUMNS_PER_SECOND: Final = 20
GAP_MS: Final = 90  # two frames at 24 frames a second are 83.4 ms
MAX_LAG_MS: Final = 500
CHAIN_MS: Final = 500  # A shorter gap between two cues is closed to GAP_MS, because it would flicker.
SNAP_START_MS: Final = 290  # 7 frames at 24 frames a second
SNAP_END_MS: Final = 500  # 12 frames
PHRASE_PAUSE_MS: Final = 300  # Speech after such a pause has a beginning of its own next to a cut.
BREAK_PAUSE_MS: Final = 1_500  # A cue does not last over such a pause: it would show what is not yet said.
TICK_MS: Final = 10  # All times are multiples of it, the resolution of ASS.

_CLOSING: Final = "'\")]\u201d\u2019\u00bb\u300d\u300f\uff09"  # may follow punctuation

# Costs, in units of one more cue.
_SHORT: Final = 6.0  # for each second that is missing to MIN_CUE_MS
_FAST: Final = 0.15  # for each column a second too many
_SILENCE: Final = 1.0  # for each second of pause inside of a cue
_LEFTOVER: Final = 0.4  # for a cue that has the end of one sentence and only the beginning of another
_SENTENCE: Final = -0.8  # for a break where a sentence ends ...
_CLAUSE: Final = -0.4
_BREATH: Final = -0.8  # ... for each second of pause there, up to one
_SMALL_WORD: Final = 0.5  # ... after a short word, such as an article, a preposition or "and"
_INSIDE: Final = 0.6  # ... inside of a word, or between words that are written together
_SMALL_WORD_CHARS: Final = 3
_UNBALANCED: Final = 1.0  # of two lines, if one were empty


@dataclass(frozen=True, slots=True)
class Cue:
    """Hold a subtitle.

    start, end: milliseconds, start < end
    lines: the text, in at most MAX_LINES lines if `cues_of` made the cue
    speaker: name of the speaker, if it is known
    """

    start: int
    end: int
    lines: tuple[str, ...]
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class _Atom:
    """Hold a piece of text that is not divided: a word with the space after it.

    start, end: milliseconds
    joint: cost of a break after it, without that of a pause
    """

    text: str
    start: int
    end: int
    joint: float
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class _Piece:
    """Hold the atoms of a cue; shot: how many cuts are before it."""

    atoms: Sequence[_Atom]
    shot: int


_Labelled = tuple[TranscriptSegment, bool]  # and whether its text begins with the speaker's name


def cues_of(
    segments: Sequence[TranscriptSegment],
    *,
    cuts: Sequence[int] = (),
    labels: bool = False,
) -> list[Cue]:
    """Return the cues of a transcript, in order of time.

    They overlap only where segments do: speakers who talk at once, as on channels of their own, have cues at
    the same time, which players show one above the other.

    cuts: where the picture changes, in samples, ascending
    labels: whether the text of a cue after a change of the speaker begins with the name
    """
    speakers = [None, *(segment.speaker for segment in segments)]
    labelled = [
        (segment, labels and segment.speaker not in (None, before))
        for before, segment in zip(speakers, segments, strict=False)
    ]
    cut_ms = [_on_tick(ms_from_samples(cut)) for cut in cuts]
    cues: list[Cue] = []
    for track in _tracks(labelled):
        atoms = list(chain.from_iterable(_atoms(segment, label) for segment, label in track))
        shots = _shots(atoms, cut_ms)
        pieces = [
            _Piece(atoms[run[first] : run[last - 1] + 1], shots[run[first]])
            for run in _runs(atoms, shots)
            for first, last in _best(atoms, run)
        ]
        cues += _timed(pieces, cut_ms)
    return sorted(cues, key=lambda cue: cue.start)


def _tracks(segments: Sequence[_Labelled]) -> Iterable[Sequence[_Labelled]]:
    """Return the segments in sequences without overlaps: all, or those of each speaker if some overlap."""
    if not any(after.start < before.end for (before, _), (after, _) in pairwise(segments)):
        return [segments]
    tracks: dict[str | None, list[_Labelled]] = {}
    for segment, label in segments:
        tracks.setdefault(segment.speaker, []).append((segment, label))
    return tracks.values()


def _atoms(segment: TranscriptSegment, label: bool) -> Iterator[_Atom]:
    """Yield the atoms of a segment; words without times share it by their widths."""
    speaker = segment.speaker
    text = " ".join(_printable(segment.hypothesis.text).split())
    if not text:
        return
    words = [word for word in segment.hypothesis.words if word.text.strip()]
    pieces = text_before_words(text, words)
    spans = [(word.start, word.end) for word in words]
    if pieces is None or not words:
        pieces, spans = [text], [(segment.start, segment.end)]
    prefix = f"{' '.join(_printable(speaker).split())}: " if label and speaker else ""
    now = segment.start
    for number, (piece, (start, end)) in enumerate(zip(pieces, spans, strict=True)):
        start = min(max(start, now), segment.end)
        now = min(max(end, start), segment.end)
        shown = prefix + piece if number == 0 else piece
        shown = shown if number + 1 < len(pieces) or shown.endswith(" ") else f"{shown} "
        yield from _divided(shown, ms_from_samples(start), ms_from_samples(now), speaker)


def _divided(text: str, start: int, end: int, speaker: str | None) -> Iterator[_Atom]:
    """Yield the unbroken pieces of a word or text, which share its time by their widths."""
    pieces = list(unbroken_pieces(text, MAX_LINE_COLUMNS))
    reached = [0, *accumulate(max(columns(piece), 1) for piece in pieces)]
    for number, piece in enumerate(pieces):
        first, last = (start + (end - start) * place // reached[-1] for place in reached[number : number + 2])
        yield _Atom(piece, first, last, _joint(piece, number + 1 == len(pieces)), speaker)


def _joint(piece: str, ends_word: bool) -> float:
    text = piece.rstrip()
    bare = text.rstrip(_CLOSING)
    if bare.lower() in ABBREVIATIONS:
        return _INSIDE
    if bare.endswith(SENTENCE_ENDS):
        return _SENTENCE
    if bare.endswith(CLAUSE_ENDS):
        return _CLAUSE
    if text and is_unspaced(text[-1]):
        # Between such words there is no space; where there is one, it is punctuation.
        return _CLAUSE if piece != text else 0.0 if ends_word else _INSIDE
    if piece == text:
        return _INSIDE
    return _SMALL_WORD if len(text) <= _SMALL_WORD_CHARS and text.isalpha() else 0.0


def _shots(atoms: Sequence[_Atom], cuts: Sequence[int]) -> list[int]:
    """Return the shot in which each atom is shown: how many cuts are before it.

    It is the one that has the middle of the atom, unless a phrase only begins or ends next to a cut.
    """
    shots = [bisect_left(cuts, _middle(atom)) for atom in atoms]
    for phrase in _phrases(atoms):
        start, end = atoms[phrase[0]].start, atoms[phrase[-1]].end
        for shot in range(shots[phrase[0]], shots[phrase[-1]]):
            cut = cuts[shot]
            if cut - start <= SNAP_START_MS and end - cut > cut - start:
                shown = shot + 1
            elif end - cut <= SNAP_START_MS:
                shown = shot
            else:
                continue
            for place in phrase:
                if shots[place] in (shot, shot + 1):
                    shots[place] = shown
    return shots


def _phrases(atoms: Sequence[_Atom]) -> Iterator[range]:
    """Yield the indices of atoms of one speaker without a pause between them."""
    first = 0
    for place, (before, after) in enumerate(pairwise(atoms), 1):
        if before.speaker != after.speaker or after.start - before.end >= PHRASE_PAUSE_MS:
            yield range(first, place)
            first = place
    if atoms:
        yield range(first, len(atoms))


def _runs(atoms: Sequence[_Atom], shots: Sequence[int]) -> Iterator[range]:
    """Yield the indices of atoms that may share a cue: no change of speaker or picture, no long pause."""
    if not atoms:
        return
    first = 0
    for place, (before, after) in enumerate(pairwise(atoms), 1):
        is_cut = before.speaker != after.speaker or shots[place - 1] != shots[place]
        if is_cut or after.start - before.end >= BREAK_PAUSE_MS:
            yield range(first, place)
            first = place
    yield range(first, len(atoms))


def _middle(atom: _Atom) -> float:
    return (atom.start + atom.end) / 2


def _best(atoms: Sequence[_Atom], run: range) -> list[tuple[int, int]]:
    """Return the division of a run into cues with the lowest cost, as pairs of indices into it."""
    own = [atoms[place] for place in run]
    edges = [0, *accumulate(columns(atom.text) for atom in own)]
    texts = [edge + columns(atom.text.rstrip()) for edge, atom in zip(edges, own, strict=False)]
    pauses = [max(after.start - before.end, 0) / 1_000 for before, after in pairwise(own)]
    silence = [0.0, *accumulate(pauses)]  # before each atom
    sentences = [0, *accumulate(atom.joint == _SENTENCE for atom in own)]
    starts = [atom.start for atom in own]
    after_run = atoms[run[-1] + 1].start if run[-1] + 1 < len(atoms) else own[-1].end + MAX_CUE_MS
    limits = [start - GAP_MS for start in [*starts[1:], after_run]]
    joints = [atom.joint + _BREATH * min(pause, 1) for atom, pause in zip(own, [*pauses, 0.0], strict=True)]
    joints[-1] = 0.0

    def line_end(first: int) -> int:
        """Return the end of the longest line from an atom on."""
        return max(first + 1, bisect_left(texts, edges[first] + MAX_LINE_COLUMNS + 1, lo=first))

    def cost(first: int, last: int) -> float:
        width = texts[last - 1] - edges[first]
        needed = max(MIN_CUE_MS, width * 1_000 / MAX_COLUMNS_PER_SECOND)
        seconds = max(min(limits[last - 1] - starts[first], needed), 1) / 1_000
        total = 1.0 + joints[last - 1] + _SILENCE * (silence[last - 1] - silence[first])
        total += _SHORT * max(MIN_CUE_MS / 1_000 - seconds, 0)
        total += _FAST * max(width / max(seconds, MIN_CUE_MS / 1_000) - MAX_COLUMNS_PER_SECOND, 0)
        is_leftover = sentences[last - 1] > sentences[first] and own[last - 1].joint != _SENTENCE
        return total + _LEFTOVER * is_leftover

    best: list[tuple[float, int]] = [(0.0, 0)]
    best.extend((math.inf, 0) for _ in own)
    ends = [line_end(first) for first in range(len(own))]
    for first in range(len(own)):
        furthest = ends[ends[first]] if ends[first] < len(own) else len(own)
        for last in range(first + 1, furthest + 1):
            if last > first + 1 and own[last - 1].end - starts[first] > MAX_CUE_MS:
                break
            found = best[first][0] + cost(first, last)
            if found < best[last][0]:
                best[last] = found, first
    cuts = [len(own)]
    while cuts[-1]:
        cuts.append(best[cuts[-1]][1])
    return list(pairwise(reversed(cuts)))


def _timed(pieces: Sequence[_Piece], cuts: Sequence[int]) -> list[Cue]:
    """Return the cues of the atoms: as long as they are read, and one after the other."""
    cues: list[Cue] = []
    starts = [_start(piece, cuts) for piece in pieces]
    free = 0  # from when on the next cue may be shown
    for number, piece in enumerate(pieces):
        start = max(starts[number], free)
        following = starts[number + 1] if number + 1 < len(pieces) else None
        # A cue that does not fit before a cut waits for it.
        place = bisect_left(cuts, start + 1)
        while place < len(cuts) and cuts[place] - GAP_MS <= start:
            start, place = cuts[place], place + 1
        cut = cuts[place] - GAP_MS if place < len(cuts) else None
        end = _end(piece.atoms, start, following, cut)
        cues.append(Cue(start, end, _lines(piece.atoms), piece.atoms[0].speaker))
        free = end + GAP_MS
    return cues


def _start(piece: _Piece, cuts: Sequence[int]) -> int:
    """Return when the speech of a cue starts, on the cut before it if that is near."""
    start = _on_tick(piece.atoms[0].start)
    cut = cuts[piece.shot - 1] if piece.shot else None
    return start if cut is None or start - cut > SNAP_START_MS else cut


def _end(atoms: Sequence[_Atom], start: int, following: int | None, cut: int | None) -> int:
    """Return the end of a cue that starts at `start`.

    following: when the speech of the next cue starts; cut: the latest end before a cut
    """
    width = columns("".join(atom.text for atom in atoms).rstrip())
    read = start + math.ceil(width * 1_000 / MAX_COLUMNS_PER_SECOND)
    end = -(-max(atoms[-1].end, read, start + MIN_CUE_MS) // TICK_MS) * TICK_MS
    if following is not None:
        limit = following - GAP_MS
        if end > limit:
            end = max(limit, min(start + MIN_CUE_MS, limit + MAX_LAG_MS))
        elif limit - end < CHAIN_MS:
            end = limit
    end = max(min(end, start + MAX_CUE_MS), start + TICK_MS)
    if cut is None:
        return end
    is_free = following is None or following - GAP_MS >= cut
    return cut if end > cut or (cut - end < SNAP_END_MS and is_free and cut - start <= MAX_CUE_MS) else end


def _lines(atoms: Sequence[_Atom]) -> tuple[str, ...]:
    """Return the text in one line, or in two: of similar length, and not cut inside of a phrase."""
    text = "".join(atom.text for atom in atoms).rstrip()
    total = columns(text)
    if total <= MAX_LINE_COLUMNS:
        return (text,)
    *places, _ = accumulate(len(atom.text) for atom in atoms)

    def cost(number: int) -> float:
        first, second = text[: places[number]].rstrip(), text[places[number] :]
        width, rest = columns(first), columns(second)
        if max(width, rest) > MAX_LINE_COLUMNS:
            return math.inf
        # The lower line is rather the longer one.
        return (
            _UNBALANCED * abs(rest - width) / total + (0.05 if width > rest else 0) + atoms[number].joint / 2
        )

    number = min(range(len(places)), key=cost)
    return text[: places[number]].rstrip(), text[places[number] :]


def _on_tick(ms: int) -> int:
    return ms // TICK_MS * TICK_MS


def _printable(text: str) -> str:
    """Return the text without control characters, which players do not show."""
    return "".join(char for char in text if char.isspace() or unicodedata.category(char) not in ("Cc", "Cs"))
