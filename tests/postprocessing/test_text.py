"""The options of a client change the text in their order, and the words with it."""

import pytest

from asr.recognizer import Hypothesis, Word
from postprocessing.options import MAX_REPLACEMENTS, MAX_TERM_CHARS, TextOptions, TextOptionsError
from postprocessing.text import processed


def said(text: str, language: str | None = "en") -> Hypothesis:
    words = tuple(Word(word, 100 * n, 100 * n + 90, 0.9) for n, word in enumerate(text.split()))
    return Hypothesis(text, words, language)


def test_no_options_change_nothing() -> None:
    hypothesis = said("damn it, call 555 123 4567")
    assert processed(hypothesis, TextOptions()) is hypothesis


def test_swear_words_become_asterisks_of_their_length() -> None:
    after = processed(said("What the Fuck, assassin. Scunthorpe!"), TextOptions(profanity_filter=True))
    assert after.text == "What the ****, assassin. Scunthorpe!"
    assert after.words[2] == Word("****,", 200, 290, 0.9)


def test_terms_are_replaced_as_whole_words_in_any_case() -> None:
    options = TextOptions(
        replacements=(("new york", "NYC"), ("um", ""), ("c++", "C plus plus"), ("new", "old"))
    )
    after = processed(said("Um New York, C++ umbrella new"), options)
    assert after.text == "NYC, C plus plus umbrella old"
    assert [word.text for word in after.words] == ["NYC,", "C plus plus", "umbrella", "old"]


def test_terms_of_other_scripts_are_replaced() -> None:
    options = TextOptions(replacements=(("東京", "Tokyo "), ("straße", "Str."), ("İ", "I")))
    assert processed(Hypothesis("明日東京へ行く"), options).text == "明日Tokyo へ行く"
    assert processed(Hypothesis("Die STRAßE, Straßen"), options).text == "Die Str., Straßen"
    assert processed(Hypothesis("İ am İstanbul"), options).text == "I am İstanbul"


def test_numbers_are_written_in_english_or_an_unknown_language_only() -> None:
    options = TextOptions(numerals=True)
    assert processed(said("twenty dogs"), options).text == "20 dogs"
    assert processed(said("twenty dogs", None), options).text == "20 dogs"
    assert processed(said("twenty dogs", "de"), options).text == "twenty dogs"


def test_redaction_comes_last() -> None:
    options = TextOptions(True, (("my code", "4711"),), redact=("numbers",))
    after = processed(said("my code is nine one one five"), options)
    assert after.text == "[NUMBER] is [NUMBER]"
    assert [word.text for word in after.words] == ["[NUMBER]", "is", "[NUMBER]"]


def test_text_without_times_is_redacted_too() -> None:
    assert processed(Hypothesis("it is 4711"), TextOptions(redact=("numbers",))) == Hypothesis(
        "it is [NUMBER]"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"redact": ("names",)}, "redact can be numbers, aggressive_numbers, pci"),
        ({"replacements": (("a", "b"),) * (MAX_REPLACEMENTS + 1)}, "at most 200 terms"),
        ({"replacements": (("a" * (MAX_TERM_CHARS + 1), "b"),)}, "at most 100 characters"),
        ({"replacements": ((" ", "b"),)}, "must not be empty"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(TextOptionsError, match=message):
        TextOptions(**options)  # type: ignore[arg-type]
