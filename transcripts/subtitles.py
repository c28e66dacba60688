"""Write subtitles as SubRip (SRT), WebVTT (W3C, 2019) and Advanced SubStation Alpha; read the first two."""

import re
from collections.abc import Iterable, Iterator, Sequence
from html import unescape
from typing import Final

from asr.recognizer import Hypothesis
from audio.clip import samples_from_ms
from transcripts.cues import Cue, cues_of
from transcripts.transcript import Transcript, TranscriptSegment

MAX_SRT_CHARS: Final = 16 << 20
MAX_SRT_CUES: Final = 100_000
MAX_SRT_LINES: Final = 100  # in a cue

# The size of the font is in lines of PlayResY.
_ASS_HEADER: Final = """[Script Info]
ScriptType: v4.00+
PlayResX: 384
PlayResY: 288
WrapStyle: 2
ScaledBorderAndShadow: yes

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, \
Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, \
MarginR, MarginV, Encoding
Style: Default,Arial,16,&H00FFFFFF,&H00FFFFFF,&H00000000,&H00000000,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
_TIME: Final = r"(\d{1,4}):([0-5]?\d):([0-5]?\d)[.,](\d{1,3})"
_NUMBER_DIGITS: Final = 9  # of the number of a cue
_TIMES: Final = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s+[XYxy][12]:.*)?\s*", re.ASCII)
# SubRip has the tags of bold, italics, underline, strike-through and font, in either kind of brackets, and
# players accept override tags of ASS, such as {\an8} for the top of the picture.
_TAGS: Final = re.compile(
    r"</?(?:[bius]|font(?:\s[^<>]*)?)>|\{/?[bius]\}|\{\\[^{}]*\}", re.ASCII | re.IGNORECASE
)
_VTT_TIME: Final = r"(?:(\d{1,4}):)?([0-5]?\d):([0-5]?\d)[.,](\d{1,3})"
_VTT_TIMES: Final = re.compile(rf"\s*{_VTT_TIME}\s*-->\s*{_VTT_TIME}(?:\s.*)?", re.ASCII)
_VTT_OTHER: Final = re.compile(r"(?:NOTE|STYLE|REGION)\b")
_VTT_TAGS: Final = re.compile(r"</?[a-z0-9:.][^<>]*>", re.IGNORECASE)
_VOICE: Final = re.compile(r"<v(?:\.[^\s<>]*)?\s+([^<>]+)>")
# At most four words before a colon: the name of a speaker.
_LABEL: Final = re.compile(r"([^\s:]{1,60}(?: [^\s:]{1,60}){0,3}):(?:\s+(.*))?")
_SHOWN: Final = 60  # characters of a wrong line that an error quotes
_BREAK: Final = r"\N"  # a line break in ASS


class SubtitleError(ValueError):
    """A text is not SubRip, or is larger than this module reads."""


def srt_of(transcript: Transcript) -> str:
    """Return a transcript as SubRip; with speakers, a cue after a change begins with the name."""
    return write_srt(_cues(transcript, labels=True))


def vtt_of(transcript: Transcript) -> str:
    """Return a transcript as WebVTT, with speakers as voices."""
    return write_vtt(_cues(transcript))


def ass_of(transcript: Transcript) -> str:
    """Return a transcript as ASS; with speakers, a cue after a change begins with the name."""
    return write_ass(_cues(transcript, labels=True))


def _cues(transcript: Transcript, *, labels: bool = False) -> list[Cue]:
    return cues_of(transcript.segments, cuts=transcript.cuts, labels=labels)


def write_srt(cues: Sequence[Cue]) -> str:
    """Return cues as SubRip."""
    return "\n".join(
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{_text(cue)}"
        for number, cue in enumerate(cues, 1)
    )


def write_vtt(cues: Sequence[Cue]) -> str:
    """Return cues as WebVTT; a cue with a speaker has its voice tag."""
    blocks = (
        f"\n{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{_voice(cue)}{_escape(_text(cue))}"
        for cue in cues
    )
    return "".join(["WEBVTT\n", *blocks])


def write_ass(cues: Sequence[Cue]) -> str:
    """Return cues as Advanced SubStation Alpha, white with a black outline at the bottom."""
    return _ASS_HEADER + "".join(
        f"Dialogue: 0,{_ass_clock(cue.start)},{_ass_clock(cue.end)},Default,{_ass_name(cue)},0,0,0,,"
        f"{_BREAK.join(map(_ass_text, cue.lines))}\n"
        for cue in cues
    )


def read_srt(text: str) -> list[Cue]:
    """Return the cues of SubRip that a person may have edited, in order of time.

    It accepts a byte order mark, any line ends, missing or wrong numbers, points in place of commas, no or
    several empty lines between numbered cues, cues in any order, and cues without text, which are left out.
    Tags of formatting are removed.

    Raises SubtitleError, which names the line, for anything else, and beyond MAX_SRT_CHARS, MAX_SRT_CUES or
    MAX_SRT_LINES.
    """
    lines = _lines(text)
    if _is_vtt(lines):
        raise SubtitleError("this is WebVTT, not SubRip")
    return _read_srt(lines)


def read_subtitles(text: str, *, labels: bool) -> list[Cue]:
    """Return the cues of SubRip or WebVTT that a person may have edited, in order of time.

    labels: whether a name and a colon at the beginning of a cue of SubRip name its speaker, as `srt_of`
        writes them, if the first cue has them

    Raises SubtitleError as `read_srt` does.
    """
    lines = _lines(text)
    if _is_vtt(lines):
        return _read_vtt(lines)
    cues = _read_srt(lines)
    return _labelled(cues) if labels and cues and _LABEL.fullmatch(cues[0].lines[0]) else cues


def _labelled(cues: Sequence[Cue]) -> list[Cue]:
    """Return cues with their speakers; one without a name has the speaker of the one before."""
    found: list[Cue] = []
    speaker = None
    for cue in cues:
        lines = cue.lines
        label = _LABEL.fullmatch(lines[0])
        if label is not None:
            speaker = label[1]
            lines = tuple(filter(None, (label[2], *lines[1:])))
        if lines:
            found.append(Cue(cue.start, cue.end, lines, speaker))
    return found


def transcript_of(cues: Sequence[Cue], source: str) -> Transcript:
    """Return subtitles as a transcript, with one segment for each cue and no model."""
    segments = (
        TranscriptSegment(
            samples_from_ms(cue.start), samples_from_ms(cue.end), Hypothesis(" ".join(cue.lines))
        )
        for cue in cues
    )
    return Transcript(source, "", tuple(segments))


def _lines(text: str) -> list[str]:
    """Return the lines of subtitles, without a byte order mark. Raises SubtitleError beyond MAX_SRT_CHARS."""
    if len(text) > MAX_SRT_CHARS:
        raise SubtitleError(f"the subtitles have more than {MAX_SRT_CHARS} characters")
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _is_vtt(lines: Sequence[str]) -> bool:
    return lines[0].split()[:1] == ["WEBVTT"]


def _read_srt(lines: Sequence[str]) -> list[Cue]:
    return _in_order(_cue(number, block) for number, block in _blocks(lines))


def _read_vtt(lines: Sequence[str]) -> list[Cue]:
    """Return the cues of WebVTT, without notes, styles and settings. Raises SubtitleError."""
    return _in_order(_vtt_cue(number, block) for number, block in _vtt_blocks(lines))


def _in_order(cues: Iterable[Cue | None]) -> list[Cue]:
    """Return the cues that have text. Raises SubtitleError beyond MAX_SRT_CUES."""
    found: list[Cue] = []
    for cue in cues:
        if cue is not None:
            found.append(cue)
        if len(found) > MAX_SRT_CUES:
            raise SubtitleError(f"the subtitles have more than {MAX_SRT_CUES} cues")
    return sorted(found, key=lambda cue: (cue.start, cue.end))


def _blocks(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the first line, counted from 1, and the lines of each cue.

    A cue ends at an empty line, and before the times of the next one if the number before them is the next.
    """
    block: list[str] = []
    for number, line in enumerate([*lines, ""], 1):
        if not line.strip():
            if block:
                yield number - len(block), block
            block = []
            continue
        if _TIMES.fullmatch(line) and len(block) > 2 and _number(block[-1]) == _number(block[0]) + 1 > 0:
            yield number - len(block), block[:-1]
            block = block[-1:]
        block.append(line)


def _number(line: str) -> int:
    """Return the number of a cue, -1 if the line is none."""
    shown = line.strip()
    return int(shown) if shown.isascii() and shown.isdecimal() and len(shown) <= _NUMBER_DIGITS else -1


def _cue(number: int, block: Sequence[str]) -> Cue | None:
    place = 1 if block[0].strip().isdecimal() and len(block) > 1 else 0
    start, end, written = _timed(number, block, place, _TIMES, "00:00:01,000 --> 00:00:02,500")
    lines = tuple(filter(None, (_TAGS.sub("", line).strip() for line in written)))
    return Cue(start, end, lines) if lines else None


def _vtt_blocks(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the first line, counted from 1, and the lines of each cue."""
    block: list[str] = []
    for number, line in enumerate([*lines, ""], 1):
        if line.strip():
            block.append(line)
            continue
        first = number - len(block)
        if block and first > 1 and not _VTT_OTHER.match(block[0]):
            yield first, block
        block = []


def _vtt_cue(number: int, block: Sequence[str]) -> Cue | None:
    place = 1 if "-->" not in block[0] and len(block) > 1 else 0
    start, end, written = _timed(number, block, place, _VTT_TIMES, "00:00:01.000 --> 00:00:02.500")
    voice = next((found for line in written if (found := _VOICE.search(line))), None)
    speaker = " ".join(unescape(voice[1]).split()) if voice else ""
    lines = tuple(filter(None, (unescape(_VTT_TAGS.sub("", line)).strip() for line in written)))
    return Cue(start, end, lines, speaker or None) if lines else None


def _timed(
    number: int, block: Sequence[str], place: int, times: re.Pattern[str], example: str
) -> tuple[int, int, Sequence[str]]:
    """Return the start and the end of a cue in ms, and the lines after its times. Raises SubtitleError.

    number: of its first line; place: of the line with its times, in `block`
    """
    found = times.fullmatch(block[place])
    if found is None:
        shown = block[place].strip()[:_SHOWN]
        raise SubtitleError(f"line {number + place}: {shown!r} is no time such as {example}")
    parts = [part or "0" for part in found.groups()]  # WebVTT may leave out hours
    start, end = _ms(*parts[:4]), _ms(*parts[4:])
    if start >= end:
        raise SubtitleError(f"line {number + place}: the cue ends before it begins")
    written = block[place + 1 :]
    if len(written) > MAX_SRT_LINES:
        raise SubtitleError(f"line {number}: the cue has more than {MAX_SRT_LINES} lines")
    return start, end, written


def _ms(hours: str, minutes: str, seconds: str, fraction: str) -> int:
    return ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1_000 + int(fraction.ljust(3, "0"))


def _text(cue: Cue) -> str:
    return "".join(f"{line}\n" for line in cue.lines)


def _clock(ms: int, point: str) -> str:
    seconds, ms = divmod(ms, 1_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{ms:03}"


def _escape(text: str) -> str:
    """Escape the characters of tags, entities and arrows in WebVTT."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _voice(cue: Cue) -> str:
    return f"<v {_escape(' '.join(cue.speaker.split()))}>" if cue.speaker else ""


def _ass_clock(ms: int) -> str:
    """Return a time with centiseconds, the resolution of the format."""
    return _clock(ms, ".")[1:-1] if ms < 36_000_000 else _clock(ms, ".")[:-1]


def _ass_name(cue: Cue) -> str:
    return " ".join((cue.speaker or "").replace(",", " ").split())


def _ass_text(line: str) -> str:
    """Keep a line from being read as override tags; U+2060 keeps a backslash apart from what follows."""
    return line.replace("\\", "\\\u2060").replace("{", r"\{")
