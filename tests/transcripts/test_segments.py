"""Test that long segments are split where a reader expects it."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Hypothesis, Word
from transcripts.segments import MAX_SAMPLES, split_segment
from transcripts.transcript import TranscriptSegment

SECOND = 16_000


def segment(text: str, *words: tuple[str, float, float], seconds: float = 30) -> TranscriptSegment:
    """Return a segment from sample 0 on; times in seconds."""
    timed = tuple(Word(word, round(a * SECOND), round(b * SECOND)) for word, a, b in words)
    return TranscriptSegment(0, round(seconds * SECOND), Hypothesis(text, timed, "en", 0.9))


def texts(whole: TranscriptSegment) -> list[str]:
    return [part.hypothesis.text for part in split_segment(whole)]


def spoken(text: str, pace: float = 0.5) -> TranscriptSegment:
    """Return a segment with words without pauses, each `pace` seconds long."""
    words = [(word, pace * n, pace * (n + 1)) for n, word in enumerate(text.split())]
    return segment(text, *words, seconds=pace * len(words) + 0.1)


def test_segment_ends_with_its_sentences() -> None:
    whole = spoken("She opened the window. He walked along the river.")
    first, second = split_segment(whole)
    assert (first.hypothesis.text, second.hypothesis.text) == (
        *("She opened the window.", "He walked along the river."),
    )
    assert (first.start, first.end, second.start, second.end) == (0, 2 * SECOND, 2 * SECOND, whole.end)
    assert first.hypothesis.words + second.hypothesis.words == whole.hypothesis.words
    assert (second.hypothesis.language, second.hypothesis.confidence) == ("en", 0.9)


def test_short_sentence_is_joined_to_the_next() -> None:
    assert texts(spoken("Yes. I think that he knows. No.")) == ["Yes. I think that he knows.", "No."]


def test_pause_after_a_short_sentence_ends_a_segment() -> None:
    whole = segment("Yes. I know.", ("Yes.", 0, 0.4), ("I", 1.5, 1.6), ("know.", 1.6, 2))
    assert texts(whole) == ["Yes.", "I know."]


def test_title_does_not_end_a_segment() -> None:
    assert len(texts(spoken("Here comes the old Mr. Smith again."))) == 1


def test_long_sentence_is_cut_at_its_longest_pause() -> None:
    words = [(f"w{n}", n + (0.4 if n > 12 else 0), n + 1.0 + (0.4 if n > 12 else 0)) for n in range(20)]
    whole = segment(" ".join(word for word, _, _ in words) + ".", *words[:-1], ("w19.", 19.4, 20.4))
    assert [len(part.hypothesis.words) for part in split_segment(whole)] == [13, 7]


def test_text_without_punctuation_is_cut_at_pauses() -> None:
    whole = segment("good day to you", ("good", 0, 1), ("day", 1, 2), ("to", 3, 4), ("you", 4.4, 5))
    assert texts(whole) == ["good day", "to you"]


def test_number_with_breaths_stays_in_one_piece() -> None:
    words = [(f"{n},", 1.3 * n, 1.3 * n + 0.5) for n in range(10)]
    whole = segment(" ".join(f"{n}," for n in range(10)) + " 10.", *words, ("10.", 13, 13.5))
    assert len(texts(whole)) == 1


def test_segment_without_times_of_words_stays_whole() -> None:
    whole = segment("She opened the window. He walked.")
    assert split_segment(whole) == [whole]


def test_words_that_are_not_the_text_leave_it_whole() -> None:
    whole = segment("She opened it.", ("He", 0, 1), ("left.", 1, 2))
    assert split_segment(whole) == [whole]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b.", "c,", "Mr.", "\u597d\u3002"]), st.floats(0, 3), st.floats(0, 2)
        ),
        min_size=1,
        max_size=40,
    )
)
def test_parts_have_all_the_text_in_order_and_in_time(spans: list[tuple[str, float, float]]) -> None:
    words, now = [], 0.0
    for text, pause, length in spans:
        words.append((text, now + pause, now + pause + length))
        now += pause + length
    whole = segment(" ".join(text for text, _, _ in spans), *words, seconds=now + 0.1)
    parts = split_segment(whole)
    assert " ".join(part.hypothesis.text for part in parts) == whole.hypothesis.text
    assert tuple(word for part in parts for word in part.hypothesis.words) == whole.hypothesis.words
    assert (parts[0].start, parts[-1].end) == (whole.start, whole.end)
    assert all(part.start < part.end for part in parts)
    assert all(one.end <= two.start for one, two in pairwise(parts))
    spans_of_words = [part.hypothesis.words for part in parts]
    assert all(len(each) == 1 or each[-1].end - each[0].start <= MAX_SAMPLES for each in spans_of_words)
