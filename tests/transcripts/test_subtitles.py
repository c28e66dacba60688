"""A parser reads the subtitles back, and cues have a readable length."""

import html
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.recognizer import Hypothesis, Word
from transcripts.subtitles import MAX_CUE_SAMPLES, MAX_LINE_CHARS, MAX_LINES, Cue, cues_of, srt_of, vtt_of
from transcripts.transcript import Transcript, TranscriptSegment

SECOND = 16_000

ARROW = re.compile(r"(\d\d+):([0-5]\d):([0-5]\d)[.,](\d{3}) --> (\d\d+):([0-5]\d):([0-5]\d)[.,](\d{3})")


def transcript(*segments: TranscriptSegment) -> Transcript:
    return Transcript("talk.wav", "pocketsphinx", segments)


def segment(start: float, end: float, text: str, *words: tuple[str, float, float]) -> TranscriptSegment:
    """Times in seconds."""
    timed = tuple(Word(word, round(a * SECOND), round(b * SECOND)) for word, a, b in words)
    return TranscriptSegment(round(start * SECOND), round(end * SECOND), Hypothesis(text, timed))


def parse(block: str) -> Cue:
    """Parse a cue from its line of times on."""
    times, *lines = block.splitlines()
    found = ARROW.fullmatch(times)
    assert found, times
    h1, m1, s1, ms1, h2, m2, s2, ms2 = map(int, found.groups())
    start, end = ((h1 * 60 + m1) * 60 + s1) * 1000 + ms1, ((h2 * 60 + m2) * 60 + s2) * 1000 + ms2
    return Cue(start, end, tuple(lines))


def parse_srt(text: str) -> list[Cue]:
    blocks = [block for block in text.split("\n\n") if block]
    assert [block.splitlines()[0] for block in blocks] == [str(n + 1) for n in range(len(blocks))]
    return [parse(block.split("\n", 1)[1]) for block in blocks]


def parse_vtt(text: str) -> list[Cue]:
    header, *blocks = text.rstrip("\n").split("\n\n")
    assert header == "WEBVTT"
    assert all(
        line.count("-->") == (number == 0) for b in blocks for number, line in enumerate(b.split("\n"))
    )
    cues = [parse(block) for block in blocks]
    assert not any("<" in line for cue in cues for line in cue.lines)
    return [Cue(cue.start, cue.end, tuple(map(html.unescape, cue.lines))) for cue in cues]


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=60) | (
    st.sampled_from(["yes", "and", "<b>", "-->", "&amp;", "AT&T", "你好世界你好世界", "end.", "well,"])
)


@st.composite
def segments(draw: st.DrawFn) -> list[TranscriptSegment]:
    """Generate up to three segments with right, wrong or no word times."""
    drawn, now = [], 0
    for _ in range(draw(st.integers(0, 3))):
        start = now + draw(st.integers(0, 60 * SECOND))
        now = start + draw(st.integers(1, 30 * SECOND))
        texts = draw(st.lists(WORDS, max_size=40))
        places = st.integers(max(0, start - 100), now + 100)
        times = sorted(draw(st.lists(places, min_size=2 * len(texts), max_size=2 * len(texts))))
        words = [Word(t, *times[2 * n : 2 * n + 2]) for n, t in enumerate(texts)]
        kept = words[: draw(st.sampled_from([0, 1, len(words)]))]
        drawn.append(TranscriptSegment(start, now, Hypothesis(" ".join(texts), tuple(kept))))
    return drawn


def letters(text: str) -> str:
    return "".join(text.split())


@settings(deadline=None, max_examples=40)
@given(segments())
def test_what_was_said_is_parsed_back(drawn: list[TranscriptSegment]) -> None:
    cues = list(cues_of(drawn))
    assert parse_srt(srt_of(transcript(*drawn))) == cues
    assert parse_vtt(vtt_of(transcript(*drawn))) == cues
    said = letters("".join(segment.hypothesis.text for segment in drawn))
    assert letters("".join(line for cue in cues for line in cue.lines)) == said


@settings(deadline=None, max_examples=40)
@given(segments())
def test_cues_are_short_and_in_order_and_within_their_segments(drawn: list[TranscriptSegment]) -> None:
    cues = list(cues_of(drawn))
    for cue in cues:
        assert cue.start < cue.end
        assert 1 <= len(cue.lines) <= MAX_LINES
        assert all(0 < len(line) <= MAX_LINE_CHARS and line == line.strip() for line in cue.lines)
        assert (
            cue.end - cue.start <= MAX_CUE_SAMPLES / 16 + 1
            or len(letters("".join(cue.lines))) <= MAX_LINE_CHARS
        )
        assert any(s.start / 16 - 1 <= cue.start <= cue.end <= s.end / 16 + 2 for s in drawn)
    assert all(a.start <= b.start and a.end <= b.end + 1 for a, b in pairwise(cues))


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


def test_a_long_line_is_wrapped_between_words() -> None:
    (cue,) = cues_of([segment(0, 5, "she opened the window and looked out over the old city")])
    assert cue.lines == ("she opened the window and looked out over", "the old city")


def test_a_long_cue_is_cut_where_the_words_have_a_pause() -> None:
    words = [(f"w{n}", n + (2.0 if n >= 6 else 0.0), n + 0.9 + (2.0 if n >= 6 else 0.0)) for n in range(10)]
    first, second = cues_of([segment(0, 13, " ".join(word for word, _, _ in words), *words)])
    assert first == Cue(0, 5_900, ("w0 w1 w2 w3 w4 w5",))
    assert second == Cue(8_000, 13_000, ("w6 w7 w8 w9",))


def test_a_long_cue_is_rather_cut_behind_a_sentence() -> None:
    first, second = cues_of([segment(0, 8, "one two three four. five six seven eight nine ten")])
    assert first.lines == ("one two three four.",)
    assert first.end == second.start


@pytest.mark.parametrize("text", ["你好世界" * 40, "x" * 200])
def test_a_text_without_blanks_is_cut_all_the_same(text: str) -> None:
    cues = list(cues_of([segment(0, 20, text)]))
    assert "".join(line for cue in cues for line in cue.lines) == text
    assert all(len(line) <= MAX_LINE_CHARS for cue in cues for line in cue.lines)


def test_words_of_a_language_without_blanks_stay_together() -> None:
    words = [(letter, n * 2, n * 2 + 1) for n, letter in enumerate("你好世界")]
    first, second = cues_of([segment(0, 8, "你好世界", *words)])
    assert (first.lines, second.lines) == (("你好",), ("世界",))


def spoken_by(speaker: str | None, start: float, text: str) -> TranscriptSegment:
    first = round(start * SECOND)
    return TranscriptSegment(first, first + 2 * SECOND, Hypothesis(text), speaker)


TALK = Transcript(
    "talk.wav",
    "little",
    (
        spoken_by("Ann & <Bob>", 0, "How are you?"),
        spoken_by("Ann & <Bob>", 2, "And your sister?"),
        spoken_by("B", 4, "Fine."),
        spoken_by(None, 6, "(music)"),
    ),
)


def test_srt_names_the_speaker_where_he_changes() -> None:
    texts = [cue.split("\n", 2)[2] for cue in srt_of(TALK).strip().split("\n\n")]
    assert texts == ["Ann & <Bob>: How are you?", "And your sister?", "B: Fine.", "(music)"]


def test_vtt_has_a_voice_for_each_speaker() -> None:
    texts = [cue.split("\n", 1)[1] for cue in vtt_of(TALK).strip().split("\n\n")[1:]]
    assert texts == [
        "<v Ann &amp; &lt;Bob&gt;>How are you?",
        "<v Ann &amp; &lt;Bob&gt;>And your sister?",
        "<v B>Fine.",
        "(music)",
    ]
