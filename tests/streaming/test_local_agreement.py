"""Test that stable words never change."""

from hypothesis import given
from hypothesis import strategies as st

from streaming.local_agreement import MAX_ALIGNED, LocalAgreement, join_texts, matching_length, pieces

WORDS = st.lists(st.sampled_from("abc"), max_size=6)


def test_word_is_stable_if_two_hypotheses_agree() -> None:
    stabilizer = LocalAgreement()
    assert stabilizer.update(["the", "cat"]) == ([], ["the", "cat"])
    assert stabilizer.update(["the", "cap", "is"]) == (["the"], ["cap", "is"])
    assert stabilizer.update(["the", "cap", "is", "on"]) == (["the", "cap", "is"], ["on"])


def test_last_word_is_never_stable() -> None:
    stabilizer = LocalAgreement()
    stabilizer.update(["the", "cap"])
    assert stabilizer.update(["the", "cap"]) == (["the"], ["cap"])


def test_settled_words_are_stable_at_once_and_others_never() -> None:
    stabilizer = LocalAgreement()
    assert stabilizer.update(["the", "cat"], settled=1) == (["the"], ["cat"])
    assert stabilizer.update(["the", "cat"], settled=1) == (["the"], ["cat"])
    assert stabilizer.update(["the", "cat", "sat"], settled=2) == (["the", "cat"], ["sat"])


def test_agreement_after_a_disagreement_does_not_count() -> None:
    stabilizer = LocalAgreement()
    stabilizer.update(["a", "cat", "sat"])
    assert stabilizer.update(["the", "cat", "sat"]) == ([], ["the", "cat", "sat"])


def test_stable_word_is_kept_if_a_hypothesis_drops_it() -> None:
    stabilizer = LocalAgreement()
    stabilizer.update(["the", "cat", "is"])
    stabilizer.update(["the", "cat", "is"])
    assert stabilizer.update(["a", "dog", "sat"]) == (["the", "cat"], ["sat"])
    assert stabilizer.update(["a", "dog", "sat"]) == (["the", "cat"], ["sat"])


@given(st.lists(WORDS, max_size=20))
def test_stable_part_only_grows(hypotheses: list[list[str]]) -> None:
    stabilizer = LocalAgreement()
    before: list[str] = []
    for words in hypotheses:
        stable, _ = stabilizer.update(words)
        assert stable[: len(before)] == before
        before = stable


def test_matching_length_aligns_with_the_stable_words() -> None:
    assert matching_length(["the", "cat"], ["the", "cat", "sat"]) == 2
    assert matching_length(["the", "cat"], ["The,", "cat", "sat"]) == 2
    assert matching_length(["the", "black", "cat"], ["the", "cat", "sat"]) == 2
    assert matching_length(["the", "cat"], ["the", "fat", "cat", "sat"]) == 3
    assert matching_length(["the", "cat"], []) == 0
    assert matching_length([], ["sat"]) == 0


@given(WORDS, WORDS, WORDS)
def test_no_word_after_the_matching_ones_is_lost(stable: list[str], same: list[str], tail: list[str]) -> None:
    assert matching_length([*same, *stable], [*same, *tail]) >= min(len(same), len(same) + len(tail))
    assert matching_length(same, [*same, *tail]) == len(same)


def test_long_disagreement_is_not_aligned() -> None:
    stable = [f"a{n}" for n in range(MAX_ALIGNED + 1)]
    assert matching_length(stable, ["b"] * 200) == len(stable)
    assert matching_length(stable, ["b"] * 20) == 20


@given(st.text())
def test_pieces_joined_are_the_text_again(text: str) -> None:
    assert "".join(pieces(text)) == text.strip()


def test_each_character_is_a_piece_in_unspaced_scripts() -> None:
    assert pieces("今日は good morning") == ["今", "日", "は", " good", " morning"]
    assert join_texts("今日", "は") == "今日は"
    assert join_texts("good", "morning") == "good morning"
    assert join_texts("", "good") == join_texts("good", "") == "good"
