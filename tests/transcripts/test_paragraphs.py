"""Test the division of a transcript into sentences and paragraphs."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Word
from transcripts.paragraphs import MAX_SENTENCES, PARAGRAPH_GAP_MS, paragraphs_of, sentences_of

MS = 16  # samples


def words(start_ms: int, text: str) -> list[Word]:
    """Return words of half a second each."""
    places = [(start_ms + 500 * number) * MS for number in range(len(text.split()) + 1)]
    return [Word(word, *span) for word, span in zip(text.split(), pairwise(places), strict=True)]


def texts(*segments: list[Word]) -> list[list[str]]:
    """Return the sentences of each paragraph."""
    return [[" ".join(w.text for w in each) for each in paragraph] for paragraph in paragraphs_of(segments)]


def test_sentences_end_with_punctuation() -> None:
    spoken = words(0, "Good morning. How are you? Well! \u597d\u3002 \u597d\uff1f \u597d\uff01 1.5 yes")
    assert [len(each) for each in sentences_of(spoken)] == [2, 3, 1, 1, 1, 1, 2]


def test_a_sentence_ends_with_its_segment() -> None:
    assert texts(words(0, "So we"), words(1_000, "went on.")) == [["So we", "went on."]]


@pytest.mark.parametrize(
    ("pause_ms", "paragraphs"),
    [(PARAGRAPH_GAP_MS - 1, [["One.", "Two."]]), (PARAGRAPH_GAP_MS, [["One."], ["Two."]])],
)
def test_a_paragraph_ends_at_a_long_pause(pause_ms: int, paragraphs: list[list[str]]) -> None:
    assert texts(words(0, "One."), words(500 + pause_ms, "Two.")) == paragraphs


def test_a_paragraph_has_a_maximum_of_sentences() -> None:
    spoken = words(0, " ".join(["So."] * (2 * MAX_SENTENCES + 1)))
    assert [len(each) for each in texts(spoken)] == [MAX_SENTENCES, MAX_SENTENCES, 1]


def test_silence_has_no_paragraphs() -> None:
    assert texts() == texts([]) == []


@given(st.lists(st.tuples(st.integers(0, 4_000), st.text("ab. ", max_size=12)), max_size=8))
def test_paragraphs_hold_each_word_once_in_order(spoken: list[tuple[int, str]]) -> None:
    segments = [words(10_000 * number + start, text) for number, (start, text) in enumerate(spoken)]
    paragraphs = list(paragraphs_of(segments))
    kept = [word for paragraph in paragraphs for sentence in paragraph for word in sentence]
    assert kept == [word for segment in segments for word in segment]
    assert all(0 < len(paragraph) <= MAX_SENTENCES and all(paragraph) for paragraph in paragraphs)
