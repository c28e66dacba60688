"""Test words with their times, plain and punctuated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Hypothesis, Word
from server.protocols.deepgram.words import format_text, join_words, normalize, timed_words, words_fields

texts = st.lists(st.text("abcé.,!'-", min_size=1, max_size=8), max_size=20).map(" ".join)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Hello, World!", "hello world"),
        ("Don't pay 3.50 — or do.", "don't pay 3.50 or do"),
        ("\u4f60\u597d\uff0c\u4e16\u754c\u3002", "\u4f60\u597d\u4e16\u754c"),
        ("...", ""),
        ('"$5.20," or 25%.', "$5.20 or 25%"),
        ("Call ([PHONE_NUMBER]). ****!", "call [PHONE_NUMBER] ****"),
    ],
)
def test_normalized_text_has_no_punctuation_and_no_capitals(text: str, plain: str) -> None:
    assert normalize(text) == plain
    assert format_text(text, formatted=False) == plain
    assert format_text(text, formatted=True) == text


@given(texts)
def test_normalized_text_is_its_normalized_words(text: str) -> None:
    words = words_fields(timed_words(Hypothesis(text), 0, 16_000), formatted=True, diarized=False)
    assert normalize(text) == " ".join(word["word"] for word in words)


@given(texts, st.integers(0, 10**6), st.integers(1, 10**6))
def test_words_without_times_share_the_segment(text: str, start: int, length: int) -> None:
    words = timed_words(Hypothesis(text), start, start + length)
    assert join_words([f" {word.text}" for word in words]).split() == text.split()
    edges = [edge for word in words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert not words or (edges[0], edges[-1]) == (start, start + length)
    assert [a.end for a in words[:-1]] == [b.start for b in words[1:]]


def test_times_of_the_recognizer_are_kept() -> None:
    own = (Word("Good", 100, 200, 0.5), Word("morning.", 200, 300))
    first, second = timed_words(Hypothesis("Good morning.", own, confidence=0.7), 0, 400)
    assert first == own[0]
    assert second == Word("morning.", 200, 300, 0.7)


def test_a_word_is_plain_and_punctuated() -> None:
    (word,) = words_fields([Word("Morning.", 16_000, 24_000, 0.5)], formatted=True, diarized=True)
    assert word == {
        "word": "morning",
        "start": 1.0,
        "end": 1.5,
        "confidence": 0.5,
        "speaker": 0,
        "punctuated_word": "Morning.",
    }
    (plain,) = words_fields([Word("Morning.", 0, 1, 0.5)], formatted=False, diarized=False)
    assert plain.keys() == {"word", "start", "end", "confidence"}


def test_punctuation_alone_is_not_a_word() -> None:
    assert words_fields([Word("-", 0, 1, 0.5)], formatted=True, diarized=False) == []
