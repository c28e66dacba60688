"""Labels become marks and capitals, and windows give each word one label."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import UnsupportedModel
from postprocessing.punctuation import WordLabel, punctuated, scheme_of, windows
from tests.examples import examples

FULLSTOP = ["0", ".", ",", "?", "-", ":"]
RPUNCT = ["OU", "OO", ".O", "!O", ",O", ".U", "!U", ",U", ":O", ";O", ":U", "'O", "-O", "?O", "?U"]


def test_labels_of_marks_say_nothing_of_capitals() -> None:
    scheme = scheme_of(FULLSTOP)
    assert not scheme.has_capitals
    assert [label.mark for label in scheme.labels] == ["", ".", ",", "?", "", ":"]
    assert all(label.capital is None for label in scheme.labels)


def test_labels_of_marks_and_cases_are_both_read() -> None:
    scheme = scheme_of(RPUNCT)
    assert scheme.has_capitals
    assert scheme.labels[0] == WordLabel("", capital=True)
    assert scheme.labels[RPUNCT.index(",U")] == WordLabel(",", capital=True)
    assert scheme.labels[RPUNCT.index("'O")] == WordLabel("", capital=False)


@pytest.mark.parametrize("names", [["LABEL_0", "LABEL_1"], ["B-PER", "O"], ["Upper_", "lower."]])
def test_other_labels_are_refused(names: list[str]) -> None:
    with pytest.raises(UnsupportedModel, match=names[0]):
        scheme_of(names)


def test_sentences_begin_with_a_capital() -> None:
    words = ["hello", "there", "is", "it", "true", "yes"]
    labels = [WordLabel(mark) for mark in ["", ".", "", "", "?", ","]]
    assert punctuated(words, labels) == ["Hello", "there.", "Is", "it", "true?", "Yes,"]


def test_english_writes_the_pronoun_with_a_capital() -> None:
    words = ["so", "i", "think", "i'm", "here"]
    labels = [WordLabel()] * 5
    assert punctuated(words, labels, english=True) == ["So", "I", "think", "I'm", "here"]
    assert punctuated(words, labels) == ["So", "i", "think", "i'm", "here"]


def test_capitals_of_the_model_decide() -> None:
    labels = [WordLabel("", capital=False), WordLabel(".", capital=True), WordLabel("", capital=False)]
    assert punctuated(["von", "berlin", "aus"], labels) == ["von", "Berlin.", "aus"]


def test_text_in_capitals_is_a_bare_text() -> None:
    assert punctuated(["MISTER", "O'NEIL"], [WordLabel(), WordLabel(".")]) == ["Mister", "o'neil."]


@examples(200)
@given(st.lists(st.integers(0, 12), max_size=80), st.integers(12, 40), st.integers(0, 20))
def test_windows_hold_each_word_once(sizes: list[int], most: int, overlap: int) -> None:
    found = windows(sizes, most, overlap) if sizes else []
    kept = [word for window in found for word in range(window.kept, window.kept_end)]
    assert kept == list(range(len(sizes)))
    for window in found:
        assert window.first <= window.kept <= window.kept_end <= window.end
        assert sum(sizes[window.first : window.end]) <= most


def test_words_at_the_edge_of_a_window_have_the_label_of_the_other_one() -> None:
    first, second = windows([1] * 15, 10, 4)
    assert (first.end, second.first) == (10, 6)
    assert first.kept_end == second.kept == 8
