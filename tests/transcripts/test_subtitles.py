"""Subtitles are as players know them; FFmpeg and our own parser read them back."""

import html
import io
import re
from dataclasses import replace

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Hypothesis
from tests.examples import examples
from transcripts.cues import Cue
from transcripts.subtitles import (
    MAX_SRT_CHARS,
    MAX_SRT_CUES,
    MAX_SRT_LINES,
    SubtitleError,
    ass_of,
    read_srt,
    read_subtitles,
    srt_of,
    transcript_of,
    vtt_of,
    write_ass,
    write_srt,
    write_vtt,
)
from transcripts.transcript import Transcript, TranscriptSegment

SECOND = 16_000
ARROW = re.compile(r"(\d\d+):([0-5]\d):([0-5]\d)\.(\d{3}) --> (\d\d+):([0-5]\d):([0-5]\d)\.(\d{3})")


def transcript(*segments: TranscriptSegment) -> Transcript:
    return Transcript("talk.wav", "pocketsphinx", segments)


def segment(start: float, end: float, text: str) -> TranscriptSegment:
    """Return a segment; times in seconds."""
    return TranscriptSegment(round(start * SECOND), round(end * SECOND), Hypothesis(text))


LINES = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=42)
SPECIAL = st.sampled_from(
    ["1", "-->", "00:00:01,000 --> 00:00:02,000", "<b>", "{\\an8}", "\\N", "&amp;", "WEBVTT"]
)


@st.composite
def drawn_cues(draw: st.DrawFn, brackets: bool = True) -> list[Cue]:
    """Draw cues; without brackets nothing in them can be taken for formatting."""
    cues, now = [], 0
    for _ in range(draw(st.integers(0, 5))):
        start = now + 10 * draw(st.integers(0, 1_000_000))
        now = start + 10 * draw(st.integers(1, 700))
        lines = draw(
            st.lists(LINES.map(lambda text: " ".join(text.split())) | SPECIAL, min_size=1, max_size=2)
        )
        if not brackets:
            lines = [re.sub("[<{]", "", line).strip() for line in lines]
        if all(lines):
            cues.append(Cue(start, now, tuple(lines)))
    return cues


@examples(150)
@given(drawn_cues(brackets=False))
def test_written_srt_is_read_back(cues: list[Cue]) -> None:
    assert read_srt(write_srt(cues)) == cues


@examples(100)
@given(drawn_cues(brackets=False))
def test_srt_with_other_line_ends_is_read_back(cues: list[Cue]) -> None:
    text = "\ufeff" + write_srt(cues).replace("\n", "\r\n").replace(",", ",")
    assert read_srt(text) == cues


@examples(100)
@given(drawn_cues())
def test_vtt_has_each_cue_and_no_other_tag_or_arrow(cues: list[Cue]) -> None:
    header, *blocks = write_vtt(cues).rstrip("\n").split("\n\n")
    assert header == "WEBVTT"
    found = []
    for block in blocks:
        times, *lines = block.split("\n")
        match = ARROW.fullmatch(times)
        assert match is not None
        assert not any("-->" in line or "<" in line for line in lines)
        h1, m1, s1, ms1, h2, m2, s2, ms2 = map(int, match.groups())
        start, end = ((h1 * 60 + m1) * 60 + s1) * 1000 + ms1, ((h2 * 60 + m2) * 60 + s2) * 1000 + ms2
        found.append(Cue(start, end, tuple(map(html.unescape, lines))))
    assert found == cues


def ffmpeg_reads(text: str, name: str) -> list[tuple[int, int, str]]:
    """Return start and duration in ms and the text of each cue that FFmpeg finds."""
    with av.open(io.BytesIO(text.encode()), "r", format=name) as container:
        stream = container.streams.subtitles[0]
        found = []
        for packet in container.demux(stream):
            if packet.size and packet.pts is not None and packet.time_base is not None:
                ms = [round(value * packet.time_base * 1_000) for value in (packet.pts, packet.duration or 0)]
                found.append((ms[0], ms[1], bytes(packet).decode()))
        return found


CUES = [
    Cue(500, 2_250, ("good morning", "to you, {all}")),
    Cue(3_661_500, 3_663_000, (r"C:\Next", "and welcome"), "Ann, the host"),
]


def test_ffmpeg_reads_srt() -> None:
    assert ffmpeg_reads(write_srt(CUES), "srt") == [
        (500, 1_750, "good morning\nto you, {all}"),
        (3_661_500, 1_500, "C:\\Next\nand welcome"),
    ]


def test_ffmpeg_reads_vtt() -> None:
    assert ffmpeg_reads(write_vtt(CUES), "webvtt") == [
        (500, 1_750, "good morning\nto you, {all}"),
        (3_661_500, 1_500, "<v Ann, the host>C:\\Next\nand welcome"),
    ]


def test_ffmpeg_reads_ass() -> None:
    found = ffmpeg_reads(write_ass(CUES), "ass")
    assert [(start, length) for start, length, _ in found] == [(500, 1_750), (3_661_500, 1_500)]
    # ReadOrder, Layer, Style, Name, three margins, Effect, Text
    assert [text.split(",", 8)[3::5] for _, _, text in found] == [
        ["", r"good morning\Nto you, \{all}"],
        ["Ann the host", "C:\\\u2060Next\\Nand welcome"],
    ]


def test_srt_is_as_players_know_it() -> None:
    said = transcript(segment(0.5, 2.25, "good morning"), segment(3_661.5, 3_663, "and welcome"))
    assert srt_of(said) == (
        "1\n00:00:00,500 --> 00:00:02,250\ngood morning\n\n2\n01:01:01,500 --> 01:01:03,000\nand welcome\n"
    )


def test_vtt_is_as_browsers_know_it() -> None:
    said = transcript(segment(0.5, 2.25, "1 < 2 & 3 --> 4"))
    assert vtt_of(said) == "WEBVTT\n\n00:00:00.500 --> 00:00:02.250\n1 &lt; 2 &amp; 3 --&gt; 4\n"


def test_nothing_said_is_an_empty_document() -> None:
    assert srt_of(transcript()) == ""
    assert vtt_of(transcript()) == "WEBVTT\n"
    assert ass_of(transcript()).endswith("Effect, Text\n")


def test_speaker_is_a_label_in_srt_and_ass_and_a_voice_in_vtt() -> None:
    def by(speaker: str) -> Transcript:
        return transcript(replace(segment(0, 2, "Good morning."), speaker=speaker))

    assert "\nAnn: Good morning.\n" in srt_of(by("Ann"))
    assert ",Ann,0,0,0,,Ann: Good morning.\n" in ass_of(by("Ann"))
    assert "\n<v Ann>Good morning.\n" in vtt_of(by("Ann"))
    assert "<v A&lt;b&gt;>" in vtt_of(by("A<b>"))


def test_times_beyond_ten_hours_are_written_whole() -> None:
    cue = Cue(36_000_000, 36_001_230, ("late",))
    assert "Dialogue: 0,10:00:00.00,10:00:01.23," in write_ass([cue])
    assert read_srt(write_srt([cue])) == [cue]


def test_edited_srt_is_read() -> None:
    edited = """
7
0:00:05.5 --> 00:00:06,75 X1:10 X2:20 Y1:5 Y2:6
second
 line of two\u0020

00:00:01,000-->00:00:02,000
first, without a number


3
00:00:09,000 --> 00:00:10,000
"""
    assert read_srt(edited) == [
        Cue(1_000, 2_000, ("first, without a number",)),
        Cue(5_500, 6_750, ("second", "line of two")),
    ]


def test_cues_need_no_empty_line_between_them() -> None:
    joined = """1
00:00:01,000 --> 00:00:02,000
in
1999
2
00:00:03,000 --> 00:00:04,000
3
00:00:05,000 --> 00:00:06,000
00:00:07,000 --> 00:00:08,000
"""
    assert read_srt(joined) == [
        Cue(1_000, 2_000, ("in", "1999")),
        Cue(5_000, 6_000, ("00:00:07,000 --> 00:00:08,000",)),
    ]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("<i>So</i> it <b>is</b>.", ("So it is.",)),
        ("{\\an8}{\\pos(192,20)}above", ("above",)),
        ('<FONT color="#ff0000" face=Arial>red</FONT>', ("red",)),
        ("{i}old{/i} <u>ways</u> <s>gone</s>", ("old ways gone",)),
        ("first\n<i></i>\nsecond", ("first", "second")),
        ("a < b > c, <bird>, {1}, {so}, <i", ("a < b > c, <bird>, {1}, {so}, <i",)),
    ],
)
def test_formatting_of_srt_is_removed(written: str, shown: tuple[str, ...]) -> None:
    cue = "1\n00:00:01,000 --> 00:00:02,000\n"
    assert read_srt(cue + written) == [Cue(1_000, 2_000, shown)]
    assert read_srt(f"{cue}<i> </i>\n\n{cue}x") == [Cue(1_000, 2_000, ("x",))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello", "line 1: 'hello' is no time"),
        ("1\n00:00:02,000 --> 00:00:01,000\nx", "line 2: the cue ends before it begins"),
        ("1\n00:00:01,000 --> 00:61:01,000\nx", "line 2: '00:00:01,000 --> 00:61:01,000' is no time"),
        ("\n\n1\nwhat\n", "line 4: 'what' is no time"),
        ("1\n00:00:01,000 --> 00:00:02,000\n" + "x\n" * (MAX_SRT_LINES + 1), "line 1: the cue has more than"),
        ("x" * (MAX_SRT_CHARS + 1), "more than 16777216 characters"),
        ("0:0:0,0-->0:0:1,0\nx\n\n" * (MAX_SRT_CUES + 1), "more than 100000 cues"),
    ],
)
def test_other_text_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(SubtitleError, match=re.escape(message)):
        read_srt(text)


@examples(200)
@given(st.text(st.sampled_from("0123456789:,.->\n\r xX"), max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        cues = read_srt(text)
    except SubtitleError:
        return
    assert all(cue.start < cue.end and cue.lines for cue in cues)


def test_read_subtitles_are_a_transcript_again() -> None:
    cues = [Cue(500, 2_250, ("good", "morning")), Cue(3_000, 4_500, ("and welcome",))]
    again = transcript_of(cues, "talk.srt")
    assert (again.source, again.text) == ("talk.srt", "good morning and welcome")
    assert read_srt(srt_of(again)) == [
        Cue(500, 2_250, ("good morning",)),
        Cue(3_000, 4_500, ("and welcome",)),
    ]


NAMES = st.sampled_from(["Ann", "Dr. Lee", None])
VOICED = st.lists(
    st.builds(
        lambda start, length, text, speaker: Cue(start, start + length, (text,), speaker),
        st.integers(0, 10**7),
        st.integers(1, 9_000),
        st.from_regex(r"[a-z<>&;\[\]]{1,20}", fullmatch=True),
        NAMES,
    ),
    max_size=6,
)


@given(VOICED)
def test_written_vtt_is_read_with_its_speakers(cues: list[Cue]) -> None:
    found = read_subtitles(write_vtt(cues), labels=False)
    assert sorted(found, key=repr) == sorted(cues, key=repr)


@given(st.text() | st.text(alphabet="WEBVT0123456789:.->< \n&;").map("WEBVTT\n\n{}".format), st.booleans())
def test_any_file_is_read_or_refused(text: str, labels: bool) -> None:
    try:
        cues = read_subtitles(text, labels=labels)
    except SubtitleError:
        return
    assert all(cue.start < cue.end and cue.lines and all(cue.lines) for cue in cues)
