"""Numbers of bare text are written with digits; formatted text stays as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Hypothesis
from postprocessing.edits import edited
from postprocessing.numerals import is_bare, numerals


def written(text: str) -> str:
    return edited(Hypothesis(text), numerals(text)).text


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("i have twenty five dogs", "i have 25 dogs"),
        ("two hundred and five", "205"),
        ("two thousand three hundred and five people", "2305 people"),
        ("six hundred thousand and one", "600,001"),
        ("fifteen hundred", "1500"),
        ("five million people", "5 million people"),
        ("two million three hundred thousand", "2,300,000"),
        ("three point one four", "3.14"),
        ("two point five million euros", "€2.5 million"),
        ("five percent and zero point five per cent", "5% and 0.5%"),
        ("five dollars and twenty cents", "$5.20"),
        ("twenty dollars and a bit", "$20 and a bit"),
        ("seven cents", "7 cents"),
        ("in nineteen ninety nine and twenty twenty four", "in 1999 and 2024"),
        ("nineteen oh five", "1905"),
        ("the twenty first of may", "the 21st of may"),
        ("the tenth and the twelfth", "the 10th and the 12th"),
        ("call five five five one two three four", "call 5551234"),
        ("nine one one", "911"),
        ("five double oh seven", "five double oh seven"),
        ("eight double five seven", "8557"),
        ("TWENTY FIVE MILLION DOGS", "25 MILLION DOGS"),
    ],
)
def test_numbers_are_written_with_digits(text: str, digits: str) -> None:
    assert written(text) == digits


@pytest.mark.parametrize(
    "text",
    [
        "one of us",
        "we were five",
        "a hundred",
        "the first",
        "for a second",
        "oh no",
        "two or three",
        "point taken",
    ],
)
def test_small_and_ambiguous_numbers_stay_words(text: str) -> None:
    assert written(text) == text


@pytest.mark.parametrize(
    "text", ["He has Twenty dogs", "twenty dogs.", "twenty dogs, 3 cats", "vingt-cinq élèves"]
)
def test_formatted_text_stays(text: str) -> None:
    assert not is_bare(text)
    assert written(text) == text


WORDS = (
    "zero one five nine ten twelve nineteen twenty ninety hundred thousand million billion first tenth point "
    "oh double percent per cent cents dollars and dogs"
)


@given(st.lists(st.sampled_from(WORDS.split()), max_size=12))
def test_any_words_are_written_once_and_no_other_word_is_lost(words: list[str]) -> None:
    text = written(" ".join(words))
    assert text.split().count("dogs") == words.count("dogs")
    assert written(text) == text or not any(char.isdigit() for char in text)
