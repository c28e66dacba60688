"""Test word errors and the stability of partials."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bench.accuracy.corpus import ManifestEntry, PlacedClip
from bench.accuracy.text_metrics import (
    Errors,
    Normalizer,
    PartialStability,
    assign,
    common_prefix,
    compare,
    partial_stability,
    total,
)
from bench.load.message_tape import Label
from client import Final

WORDS = st.lists(st.sampled_from("abcd"), max_size=8)


def place(start_ms: float, end_ms: float) -> PlacedClip:
    return PlacedClip(ManifestEntry(Path("a.wav"), "", 1.0), start_ms, end_ms, Label(start_ms, end_ms))


def final(start_ms: int, end_ms: int) -> Final:
    return Final("text", f"item_{start_ms}", start_ms, end_ms, "silence", 1)


def test_the_normalizer_agrees_with_whispers() -> None:
    assert Normalizer().words("Mr. Quilter's, um, TWENTY-one!") == ["mister", "quilter", "is", "21"]


def test_errors_are_counted_and_added_up() -> None:
    first = compare(["the", "cat", "sat", "down"], ["the", "bat", "sat"])
    assert first.errors == Errors(4, substitutions=1, deletions=1, insertions=0)
    assert total([first, compare(["a"], ["a", "b"])]).rate == 3 / 5


def test_first_and_last_words_are_recognized_or_not() -> None:
    answer = compare(["the", "cat", "sat", "down"], ["a", "cat", "sat", "down"])
    assert (answer.first, answer.last) == (False, True)
    answer = compare(["the", "cat", "sat", "down"], ["and", "the", "cat", "sat"])
    assert (answer.first, answer.last) == (True, False)


def test_nothing_heard_is_all_deleted_and_words_over_nothing_are_inserted() -> None:
    assert compare(["a", "b"], []).errors == Errors(2, deletions=2)
    assert compare([], ["a"]).errors == Errors(0, insertions=1)
    assert compare([], ["a"]).errors.rate is None


@given(WORDS)
def test_a_text_is_no_error_against_itself(words: list[str]) -> None:
    answer = compare(words, words)
    assert answer.errors == Errors(len(words))
    assert answer.first == answer.last == bool(words)


@given(WORDS, WORDS)
def test_errors_account_for_both_lengths(reference: list[str], heard: list[str]) -> None:
    errors = compare(reference, heard).errors
    assert errors.words - errors.deletions + errors.insertions == len(heard)


def test_finals_go_to_the_place_that_they_overlap_most() -> None:
    places = [place(0, 1000), place(2000, 3000)]
    early, late, tail, stray = final(0, 900), final(1900, 2500), final(2500, 3200), final(1200, 1500)
    assert assign(places, [tail, stray, late, early]) == ([[early], [late, tail]], [stray])


def test_without_places_every_final_is_a_stray() -> None:
    assert assign([], [final(0, 10)]) == ([], [final(0, 10)])


def test_common_counts_the_first_words_only() -> None:
    assert common_prefix(["a", "b", "c"], ["a", "b", "d", "c"]) == 2
    assert common_prefix(["a", "b"], ["a", "b", "c"]) == 2
    assert common_prefix([], ["a"]) == 0


def test_a_growing_text_takes_nothing_back() -> None:
    partials = [(["a"], []), (["a", "b"], ["a"])]
    assert partial_stability(partials, ["a", "b", "c"]) == PartialStability(
        shown=2, taken_back=0, stable=1, broken=0
    )


def test_a_revised_word_takes_all_behind_it_back() -> None:
    partials: list[tuple[list[str], list[str]]] = [(["a", "b", "c"], []), (["a", "x", "c"], [])]
    assert partial_stability(partials, ["a", "x", "c"]) == PartialStability(
        shown=5, taken_back=2, stable=0, broken=0
    )


def test_a_stable_word_that_the_final_revises_is_broken() -> None:
    partials = [(["a", "b"], []), (["a", "b"], ["a", "b"])]
    assert partial_stability(partials, ["a", "x"]) == PartialStability(
        shown=2, taken_back=1, stable=2, broken=1
    )


def test_a_stable_word_that_a_partial_revises_is_broken() -> None:
    assert partial_stability([(["a"], ["a"]), (["x"], ["x"])], ["x"]).broken == 1


@given(st.lists(WORDS, max_size=5), WORDS)
def test_what_was_shown_was_taken_back_or_stands_in_the_final(
    texts: list[list[str]], last: list[str]
) -> None:
    found = partial_stability([(text, []) for text in texts], last)
    standing = common_prefix(texts[-1], last) if texts else 0
    assert found.shown - found.taken_back == standing
