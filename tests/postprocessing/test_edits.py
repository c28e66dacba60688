"""After edits the words still make up the text, and keep their times."""

from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Hypothesis, Word
from asr.word_spans import text_before_words
from postprocessing.edits import Edit, edited


def said(*texts: str) -> Hypothesis:
    words = tuple(Word(text, 100 * n, 100 * n + 80, 0.5 + n / 100) for n, text in enumerate(texts))
    return Hypothesis(" ".join(texts), words, "en", 0.9)


def test_words_of_an_edit_become_one() -> None:
    after = edited(said("call", "five", "five", "now"), [Edit(5, 14, "55")])
    assert after.text == "call 55 now"
    assert after.words == (Word("call", 0, 80, 0.5), Word("55", 100, 280, 0.51), Word("now", 300, 380, 0.53))


def test_punctuation_around_an_edit_stays() -> None:
    after = edited(said("my", "(card),", "is"), [Edit(4, 8, "[X]")])
    assert (after.text, after.words[1].text) == ("my ([X]), is", "([X]),")


def test_removed_word_leaves_no_space() -> None:
    after = edited(said("so", "um", "well"), [Edit(3, 5, "")])
    assert (after.text, [word.text for word in after.words]) == ("so well", ["so", "well"])


def test_two_edits_in_one_word_are_both_made() -> None:
    after = edited(said("a1b2c", "end"), [Edit(1, 2, "X"), Edit(3, 4, "Y")])
    assert (after.text, [word.text for word in after.words]) == ("aXbYc end", ["aXbYc", "end"])


def test_edits_that_share_a_word_join_theirs() -> None:
    after = edited(said("a", "b-c", "d"), [Edit(0, 3, "X"), Edit(4, 7, "Y")])
    assert (after.text, [word.text for word in after.words]) == ("X-Y", ["X-Y"])


def test_first_of_overlapping_edits_counts_and_the_longest_at_a_place() -> None:
    assert edited(said("one", "two"), [Edit(0, 3, "1"), Edit(0, 7, "12"), Edit(4, 7, "2")]).text == "12"


def test_words_that_are_not_the_text_are_left_out() -> None:
    hypothesis = Hypothesis("my number 123", (Word("another", 0, 1), Word("123", 1, 2)))
    assert edited(hypothesis, [Edit(10, 13, "[X]")]) == Hypothesis("my number [X]")


def test_no_edit_changes_nothing() -> None:
    hypothesis = said("as", "it", "is")
    assert edited(hypothesis, []) is hypothesis


@given(
    st.lists(st.text("ab.", min_size=1, max_size=4), min_size=1, max_size=8),
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(1, 10), st.sampled_from(["", "X", "Y Z"])), max_size=5
    ),
)
def test_words_always_make_up_the_text(texts: list[str], drawn: list[tuple[int, int, str]]) -> None:
    hypothesis = said(*texts)
    size = len(hypothesis.text)
    edits = [Edit(min(start, size), min(start + length, size), text) for start, length, text in drawn]
    after = edited(hypothesis, edits)
    pieces = text_before_words(after.text, after.words)
    assert pieces is not None
    if after.words:
        assert "".join(pieces) == after.text
    assert all(a.end <= b.start for a, b in zip(after.words, after.words[1:], strict=False))
