"""Cues keep the rules of broadcasters for any text, times, speakers and cuts, as far as speech allows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asr.recognizer import Hypothesis, Word
from audio.clip import ms_from_samples
from tests.examples import examples
from transcripts.cues import (
    GAP_MS,
    MAX_COLUMNS_PER_SECOND,
    MAX_CUE_MS,
    MAX_LAG_MS,
    MAX_LINE_COLUMNS,
    MAX_LINES,
    MIN_CUE_MS,
    SNAP_END_MS,
    SNAP_START_MS,
    TICK_MS,
    Cue,
    cues_of,
)
from transcripts.line_breaks import columns
from transcripts.transcript import TranscriptSegment

SECOND = 16_000
TWO_FRAMES_MS = 2_000 / 24


def segment(start: float, end: float, text: str, *words: tuple[str, float, float]) -> TranscriptSegment:
    """Return a segment; times in seconds."""
    timed = tuple(Word(word, round(a * SECOND), round(b * SECOND)) for word, a, b in words)
    return TranscriptSegment(round(start * SECOND), round(end * SECOND), Hypothesis(text, timed))


def by(segments: Sequence[TranscriptSegment], speakers: Sequence[str | None]) -> list[TranscriptSegment]:
    """Return the segments as spoken by these speakers."""
    return [replace(segment, speaker=name) for segment, name in zip(segments, speakers, strict=True)]


def spoken(text: str, start: float = 0.0, chars_per_second: float = 14) -> TranscriptSegment:
    """Return a segment of words that follow each other at a pace, with a pause after punctuation."""
    words, now = [], start
    for word in text.split():
        end = now + (len(word) + 1) / chars_per_second
        words.append((word, now, end))
        now = end + (0.3 if word.endswith((".", "?", "!")) else 0.0)
    return segment(start, words[-1][2], text, *words)


def text_of(cue: Cue) -> str:
    return " ".join(cue.lines)


def letters(text: str) -> str:
    return "".join(text.split())


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=60) | (
    st.sampled_from(["yes", "and", "你好世界你好世界", "end.", "well,", "สวัสดีครับ", "コーヒーを", "x" * 90])
)


@dataclass(frozen=True)
class Drawn:
    segments: list[TranscriptSegment]
    speakers: list[str | None]
    cuts: list[int]


@st.composite
def drawings(draw: st.DrawFn) -> Drawn:
    """Generate up to five segments with right, wrong or no word times, with speakers and cuts."""
    segments, now = [], 0
    for _ in range(draw(st.integers(0, 5))):
        start = now + draw(st.sampled_from([0, 0, 1_000, 20_000, 60 * SECOND]))
        now = start + draw(st.integers(1, 30 * SECOND))
        texts = draw(st.lists(WORDS, max_size=25))
        places = st.integers(max(0, start - 100), now + 100)
        times = sorted(draw(st.lists(places, min_size=2 * len(texts), max_size=2 * len(texts))))
        words = [Word(t, *times[2 * n : 2 * n + 2]) for n, t in enumerate(texts)]
        kept = words[: draw(st.sampled_from([0, 1, len(words)]))]
        segments.append(TranscriptSegment(start, now, Hypothesis(" ".join(texts), tuple(kept))))
    speakers = draw(st.lists(st.sampled_from(["A", "B"]), min_size=len(segments), max_size=len(segments)))
    cuts = sorted(draw(st.lists(st.integers(0, max(now, 1)), max_size=3)))
    return Drawn(segments, list(speakers), cuts)


@examples(150)
@given(drawings())
def test_cues_keep_the_rules_that_never_yield(drawn: Drawn) -> None:
    cues = cues_of(by(drawn.segments, drawn.speakers), cuts=drawn.cuts)
    for cue in cues:
        assert 1 <= len(cue.lines) <= MAX_LINES
        assert all(line and line == line.strip() and columns(line) <= MAX_LINE_COLUMNS for line in cue.lines)
        assert 0 < cue.end - cue.start <= MAX_CUE_MS
        assert cue.start % TICK_MS == cue.end % TICK_MS == 0
        assert not any(cue.start < cut // 16 // TICK_MS * TICK_MS < cue.end for cut in drawn.cuts)
    assert all(after.start - before.end >= GAP_MS >= TWO_FRAMES_MS for before, after in pairwise(cues))
    said = letters("".join(each.hypothesis.text for each in drawn.segments))
    assert letters("".join(line for cue in cues for line in cue.lines)) == said


@examples(100)
@given(drawings())
def test_no_cue_has_the_text_of_two_speakers(drawn: Drawn) -> None:
    cues = cues_of(by(drawn.segments, drawn.speakers))
    for name in ("A", "B"):
        said = [
            s.hypothesis.text for s, who in zip(drawn.segments, drawn.speakers, strict=True) if who == name
        ]
        shown = [line for cue in cues if cue.speaker == name for line in cue.lines]
        assert letters("".join(shown)) == letters("".join(said))


@examples(100)
@given(
    st.lists(
        st.sampled_from(["yes", "no.", "maybe,", "information", "well-being", "a", "the", "don't"]),
        min_size=1,
        max_size=60,
    ),
    st.floats(8, 18),
)
def test_cues_of_speech_at_a_usual_pace_keep_all_rules(words: list[str], pace: float) -> None:
    cues = cues_of([spoken(" ".join(words), 0.5, pace)])
    for cue in cues:
        seconds = (cue.end - cue.start) / 1_000
        assert seconds >= MIN_CUE_MS / 1_000 or cue is not cues[-1]
        # The gap before the next cue takes two frames of the time to read.
        assert columns(text_of(cue)) <= MAX_COLUMNS_PER_SECOND * (seconds + GAP_MS / 1_000 + 0.02)


@examples(100)
@given(
    st.lists(
        st.tuples(st.sampled_from(["Yes.", "No, not at all, I should think.", "Well"]), st.floats(1.2, 6)),
        min_size=1,
        max_size=8,
    )
)
def test_cues_of_alternating_speakers_last_a_second(turns: list[tuple[str, float]]) -> None:
    said, now = [], 0.0
    for text, length in turns:
        said.append(segment(now, now + length, text))
        now += length
    cues = cues_of(by(said, [f"{number % 2}" for number in range(len(said))]))
    assert [text_of(cue) for cue in cues] == [text for text, _ in turns]
    assert all(cue.end - cue.start >= MIN_CUE_MS for cue in cues)
    assert all(cue.start >= each.start // 160 * 10 for cue, each in zip(cues, said, strict=True))


def test_reading_speed_yields_first() -> None:
    fast = spoken("and so we went on and on without a stop until the very end of it all", chars_per_second=30)
    (cue,) = cues_of([fast, spoken("A new sentence begins here.", fast.end / SECOND, 30)])[:1]
    assert columns(text_of(cue)) / (cue.end - cue.start) * 1_000 > MAX_COLUMNS_PER_SECOND


def test_pause_after_fast_speech_is_used_for_reading() -> None:
    fast = spoken("and so we went on and on without a stop until the end", chars_per_second=40)
    (cue,) = cues_of([fast])
    assert cue.end - cue.start == pytest.approx(
        1_000 * len(text_of(cue)) / MAX_COLUMNS_PER_SECOND, abs=TICK_MS
    )


def test_short_answer_lasts_longer_than_its_speech() -> None:
    first, second = cues_of(
        by([segment(0, 0.3, "Yes."), segment(0.8, 3, "And what do you think?")], ["A", "B"])
    )
    assert first == Cue(0, MIN_CUE_MS, ("Yes.",), "A")
    assert second == Cue(MIN_CUE_MS + GAP_MS, 3_000, ("And what do you think?",), "B")


def test_next_cue_is_late_by_a_bounded_time_only() -> None:
    first, second = cues_of(
        by([segment(0, 0.2, "Yes."), segment(0.2, 3, "And what do you think?")], ["A", "B"])
    )
    assert second.start == 200 + MAX_LAG_MS
    assert first.end - first.start < MIN_CUE_MS


def test_two_short_sentences_of_one_speaker_share_a_cue() -> None:
    (cue,) = cues_of([segment(0, 0.3, "Yes."), segment(0.4, 0.8, "No.")])
    assert cue.lines == ("Yes. No.",)


def test_cue_ends_before_a_cut_and_the_next_one_begins_at_it() -> None:
    words = [(f"word{number}", number * 0.5, number * 0.5 + 0.5) for number in range(8)]
    said = segment(0, 4, " ".join(word for word, _, _ in words), *words)
    first, second = cues_of([said], cuts=[round(2.1 * SECOND)])
    assert (first.end, second.start) == (2_100 - GAP_MS, 2_100)
    assert text_of(first) == "word0 word1 word2 word3"


def talk_of(starts: Sequence[float], seconds: float = 0.4) -> TranscriptSegment:
    """Return a segment of words that begin at these seconds."""
    words = [(f"word{number}", start, start + seconds) for number, start in enumerate(starts)]
    return segment(starts[0], starts[-1] + seconds, " ".join(word for word, _, _ in words), *words)


@examples(100)
@given(
    st.lists(st.floats(0.4, 3), min_size=1, max_size=20),
    st.lists(st.floats(0.6, 8), min_size=1, max_size=10),
)
@example([1.5, 1.5, 2.5], [1.51171875, 3.748046875])
def test_no_cue_begins_or_ends_just_beside_a_cut(waits: list[float], shots: list[float]) -> None:
    starts, cuts = list(accumulate(waits)), [round(at * SECOND) for at in accumulate(shots)]
    cues = cues_of([talk_of(starts)], cuts=cuts)
    at = [ms_from_samples(cut) // TICK_MS * TICK_MS for cut in cuts]
    for before, cue in zip([None, *cues], cues, strict=False):
        is_free = before is None or before.end + GAP_MS < cue.start - SNAP_START_MS
        assert not any(0 < cue.start - cut <= SNAP_START_MS for cut in at) or not is_free
    for cue, after in zip(cues, [*cues[1:], None], strict=True):
        for cut in at:
            if GAP_MS < cut - cue.end < SNAP_END_MS:  # only where another cue or the longest time forbids it
                assert (after is not None and after.start < cut) or cut - GAP_MS - cue.start > MAX_CUE_MS


@pytest.mark.parametrize(
    ("cut", "starts"),
    [
        (1.2, [1.2]),  # speech begins 0.2 s before the cut: it is shown from the cut on
        (0.8, [0.8]),  # 0.2 s after it: it is shown from the cut on, too
        (0.6, [1.0]),  # 0.4 s after it: it is shown when it begins
        (3.2, [1.0]),  # speech ends 0.2 s after the cut: all of it is shown before
        (2.2, [1.0, 2.2]),
    ],
)
def test_phrase_that_only_touches_a_cut_is_shown_on_one_side(cut: float, starts: list[float]) -> None:
    cues = cues_of([talk_of([1.0, 1.4, 1.8, 2.2, 2.6, 3.0])], cuts=[round(cut * SECOND)])
    assert [cue.start for cue in cues] == [round(start * 1_000) for start in starts]


def test_cue_that_ends_shortly_before_a_cut_stays_until_it() -> None:
    (cue,) = cues_of([talk_of([1.0, 1.4, 1.8])], cuts=[round(2.6 * SECOND)])
    assert cue.end == 2_600 - GAP_MS


def test_small_gap_between_cues_is_closed() -> None:
    first, second = cues_of(by([segment(0, 2, "One two."), segment(2.4, 4, "Three.")], ["A", "B"]))
    assert second.start - first.end == GAP_MS


def test_large_gap_stays() -> None:
    first, second = cues_of([segment(0, 2, "One two."), segment(4, 6, "Three.")])
    assert (first.end, second.start) == (2_000, 4_000)


def test_lines_are_of_similar_length_and_do_not_end_with_a_small_word() -> None:
    (cue,) = cues_of([segment(0, 5, "she opened the window and looked out over the old city")])
    assert cue.lines == ("she opened the window", "and looked out over the old city")


def test_cue_ends_with_a_sentence() -> None:
    said = spoken(
        "The night was cold and very long. In the morning we walked along the river to the old mill."
    )
    assert [text_of(cue) for cue in cues_of([said])] == [
        "The night was cold and very long.",
        "In the morning we walked along the river to the old mill.",
    ]


def test_title_does_not_end_a_cue() -> None:
    said = spoken(
        "He called his neighbour, Mr. Smith, who lived on the other side of the river near the mill."
    )
    assert not any(text_of(cue).endswith("Mr.") for cue in cues_of([said]))


def test_cue_is_not_shown_before_a_long_pause_ends() -> None:
    said = segment(0, 6, "one two three four", ("one", 0, 1), ("two", 1, 2), ("three", 4, 5), ("four", 5, 6))
    assert [(cue.start, cue.end) for cue in cues_of([said])] == [(0, 2_000), (4_000, 6_000)]


def test_label_stands_at_a_change_of_the_speaker_only() -> None:
    said = [segment(n, n + 0.9, text) for n, text in enumerate(["One.", "Two.", "Three."])]
    cues = cues_of(by(said, ["Ann", "Ann", "Bob"]), labels=True)
    assert [text_of(cue) for cue in cues] == ["Ann: One. Two.", "Bob: Three."]


def test_speakers_who_talk_at_once_have_cues_at_once() -> None:
    first = spoken("Hello, I would like to make an appointment for next Tuesday, please.", 0.5)
    second = spoken("Good morning, this is the office of Doctor Miller and Doctor Harris.", 0.8)
    talk = by([first, second], ["A", "B"])
    cues = cues_of(talk, labels=True)
    for speaker, alone in (("A", first), ("B", second)):
        own = [cue for cue in cues if cue.speaker == speaker]
        assert own == cues_of(by([alone], [speaker]), labels=True)
    assert [cue.start for cue in cues] == sorted(cue.start for cue in cues)
    assert all(cue.end - cue.start >= MIN_CUE_MS for cue in cues)


@pytest.mark.parametrize("text", ["你好世界" * 40, "x" * 200, "สวัสดีครับผม" * 20])
def test_text_without_spaces_is_divided(text: str) -> None:
    cues = cues_of([segment(0, 40, text)])
    assert "".join(line for cue in cues for line in cue.lines) == text
    assert all(columns(line) <= MAX_LINE_COLUMNS for cue in cues for line in cue.lines)


def test_japanese_lines_end_after_punctuation() -> None:
    (cue,) = cues_of([segment(0, 7, "今日は天気がとても良いので、公園まで散歩に行きました。")])
    assert cue.lines == ("今日は天気がとても良いので、", "公園まで散歩に行きました。")


def test_control_characters_are_left_out() -> None:
    (cue,) = cues_of([segment(0, 2, "a\x00b\x1bc\u2028d")])
    assert cue.lines == ("abc d",)


def test_no_segments_have_no_cues() -> None:
    assert cues_of([]) == []
