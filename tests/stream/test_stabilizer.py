"""The stabilizer: what has been called stable never changes."""

from hypothesis import given
from hypothesis import strategies as st

from stream.stabilizer import Stabilizer

WORDS = st.lists(st.sampled_from("abc"), max_size=6)


def test_a_word_is_stable_when_two_hypotheses_in_a_row_agree_on_it() -> None:
    stabilizer = Stabilizer()
    assert stabilizer.update(["the", "cat"]) == ([], ["the", "cat"])
    assert stabilizer.update(["the", "cap", "is"]) == (["the"], ["cap", "is"])
    assert stabilizer.update(["the", "cap", "is"]) == (["the", "cap", "is"], [])


def test_agreement_behind_a_disagreement_does_not_count() -> None:
    stabilizer = Stabilizer()
    stabilizer.update(["a", "cat", "sat"])
    assert stabilizer.update(["the", "cat", "sat"]) == ([], ["the", "cat", "sat"])


def test_a_hypothesis_that_takes_back_a_stable_word_changes_nothing_of_it() -> None:
    stabilizer = Stabilizer()
    stabilizer.update(["the", "cat"])
    stabilizer.update(["the", "cat"])
    assert stabilizer.update(["a", "dog", "sat"]) == (["the", "cat"], ["sat"])
    assert stabilizer.update(["a", "dog", "sat"]) == (["the", "cat"], ["sat"])


@given(st.lists(WORDS, max_size=20))
def test_stable_only_grows(hypotheses: list[list[str]]) -> None:
    stabilizer = Stabilizer()
    before: list[str] = []
    for words in hypotheses:
        stable, _ = stabilizer.update(words)
        assert stable[: len(before)] == before
        before = stable
