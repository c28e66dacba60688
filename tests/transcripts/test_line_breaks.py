"""Lines end where a reader of the script expects it, and their width is what a screen shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcripts.line_breaks import columns, is_unspaced, unbroken_pieces

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=120)


def pieces(text: str, width: int = 42) -> list[str]:
    return list(unbroken_pieces(text, width))


def test_wide_characters_count_twice_and_marks_not_at_all() -> None:
    assert columns("abc") == 3
    assert columns("日本") == 4
    assert columns("ｱ") == 1  # half-width katakana
    assert columns("cafe\u0301") == 4


def test_line_ends_after_a_space_only() -> None:
    assert pieces("a well-known  word") == ["a ", "well-known  ", "word"]


def test_line_begins_with_no_closing_and_ends_with_no_opening_mark() -> None:
    assert pieces("彼は「はい」、と") == ["彼", "は", "「は", "い」、", "と"]


def test_small_kana_and_length_marks_stay_with_their_syllable() -> None:
    assert pieces("きょうコーヒー") == ["きょ", "う", "コー", "ヒー"]


def test_thai_vowels_and_tones_stay_with_their_consonant() -> None:
    assert pieces("เก้าน้ำ") == ["เก้า", "น้ำ"]


def test_latin_word_among_ideographs_stays_whole() -> None:
    assert pieces("用GitHub写") == ["用", "GitHub", "写"]


def test_korean_breaks_at_spaces_only() -> None:
    assert pieces("안녕하세요 여러분") == ["안녕하세요 ", "여러분"]


def test_piece_that_is_too_wide_is_divided_between_characters() -> None:
    assert pieces("x" * 10, 4) == ["xxxx", "xxxx", "xx"]
    assert pieces("e\u0301" * 3, 2) == ["e\u0301e\u0301", "e\u0301"]


@pytest.mark.parametrize(("char", "unspaced"), [("a", False), ("日", True), ("ไ", True), ("한", False)])
def test_scripts_without_spaces_are_known(char: str, unspaced: bool) -> None:
    assert is_unspaced(char) == unspaced


@given(TEXTS, st.integers(2, 50))
def test_pieces_make_up_the_text_and_fit(text: str, width: int) -> None:
    found = pieces(text, width)
    assert "".join(found) == text
    assert all(columns(piece.rstrip()) <= width for piece in found)
