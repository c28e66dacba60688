"""PhraseTree compared with direct counting, and Phrasebook with small tokenizers of both kinds."""

import json
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pytest
import transformers
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from asr.hotword_boosting import CACHED_SPELLINGS, ROOT, Phrasebook, PhraseTree
from asr.recognizer import MAX_HOTWORD_CHARS, MAX_HOTWORDS

_: Any = transformers  # the boundary: transformers is typed in part
FOREIGN = 9  # in no phrase
Tokens = Sequence[int]

tokens = st.lists(st.integers(1, 3), max_size=12)
phrases = st.sets(st.lists(st.integers(1, 3), min_size=1, max_size=4).map(tuple), max_size=6)


def earned(tree: PhraseTree, sequence: Tokens, end: bool = True) -> int:
    """Return the score of a sequence; end: include the score of ending it."""
    state, total = tree.start, 0
    for token in sequence:
        state, more = tree.advance(state, token)
        total += more
    return total + (tree.finish(state) if end else 0)


def state_of(tree: PhraseTree, sequence: Tokens) -> int:
    return list(accumulate(sequence, lambda state, token: tree.advance(state, token)[0], initial=tree.start))[
        -1
    ]


def occurrences(said: set[tuple[int, ...]], sequence: Tokens) -> list[range]:
    return [
        range(at, at + len(phrase))
        for phrase in said
        for at in range(len(sequence) - len(phrase) + 1)
        if tuple(sequence[at : at + len(phrase)]) == phrase
    ]


@given(phrases, tokens)
def test_a_phrase_that_breaks_off_gives_all_back(boosted: set[tuple[int, ...]], said: list[int]) -> None:
    tree = PhraseTree(boosted)
    if not occurrences(boosted, said):
        assert earned(tree, said) == 0
        assert earned(tree, [*said, FOREIGN], end=False) == 0


@given(phrases, tokens)
@example({(1, 2), (2, 3), (3, 1, 2, 3, 2)}, [3, 1, 2, 3, 2])
def test_complete_phrases_keep_what_they_earned(boosted: set[tuple[int, ...]], said: list[int]) -> None:
    """Count each token that belongs to a complete phrase once."""
    found = occurrences(boosted, said)
    covered = {place for phrase in found for place in phrase}
    total = earned(PhraseTree(boosted), said)
    assert len(covered) <= total <= sum(map(len, found))


@given(phrases, tokens)
def test_what_is_at_risk_was_earned(boosted: set[tuple[int, ...]], said: list[int]) -> None:
    tree = PhraseTree(boosted)
    for length in range(len(said) + 1):
        at_risk = tree.at_risk(state_of(tree, said[:length]))
        assert 0 <= at_risk <= earned(tree, said[:length], end=False)


@given(phrases, tokens)
def test_what_is_safe_only_grows(boosted: set[tuple[int, ...]], said: list[int]) -> None:
    """The search relies on this to keep its safest path."""
    tree = PhraseTree(boosted, inside=frozenset({3}))
    parts = [said[:length] for length in range(len(said) + 1)]
    safe = [earned(tree, part, end=False) - tree.at_risk(state_of(tree, part)) for part in parts]
    assert all(before <= after for before, after in pairwise(safe))


@given(phrases, tokens)
def test_continuations_are_of_every_phrase_begun(boosted: set[tuple[int, ...]], said: list[int]) -> None:
    tree = PhraseTree(boosted)
    expected: dict[int, int] = {}
    for length in range(1, len(said) + 1):  # the longest is told of last
        for phrase in boosted:
            if len(phrase) > length and phrase[:length] == tuple(said[len(said) - length :]):
                expected[phrase[length]] = length + 1
    state = state_of(tree, said)
    assert expected == ({} if state == ROOT else tree.continuations(state))
    assert tree.continuations(ROOT) == {phrase[0]: 1 for phrase in boosted}


def test_a_phrase_within_a_phrase_is_kept_when_the_longer_one_breaks_off() -> None:
    new, york, city = 1, 2, 3
    tree = PhraseTree([(new, york, city), (york,)])
    assert earned(tree, [new, york, FOREIGN]) == 1
    assert earned(tree, [new, york, city]) == 3
    assert earned(tree, [new, FOREIGN]) == 0


def test_a_word_that_begins_like_a_phrase_is_none() -> None:
    art, ist, and_ = 1, 2, 3
    tree = PhraseTree([(art,)], inside=frozenset({ist}))
    assert earned(tree, [art, and_]) == 1
    assert earned(tree, [art, ist]) == earned(tree, [art, ist, and_]) == 0


def test_a_space_earns_nothing_and_stands_in_front_of_the_first_word() -> None:
    space = 0
    tree = PhraseTree([(space, 1, space, 2)], space=space)
    assert earned(tree, [1, space, 2]) == earned(tree, [space, 1, space, 2]) == 2
    assert earned(tree, [3, 1, space, 2]) == 0
    assert tree.continuations(tree.start) == {1: 1}


def test_a_tree_without_phrases_earns_nothing() -> None:
    tree = PhraseTree([])
    assert earned(tree, [1, 2, 3], end=False) == 0
    assert tree.continuations(tree.start) == {}


def characters(folder: Path, letters: str) -> Any:
    """Imitate the vocabulary of wav2vec2."""
    known = ["<pad>", "<s>", "</s>", "<unk>", "|", *letters]
    path = folder / "vocab.json"
    path.write_text(json.dumps({letter: index for index, letter in enumerate(known)}))
    return _.Wav2Vec2CTCTokenizer(str(path))


def pieces(*known: str) -> Any:
    """Imitate a sentencepiece vocabulary with a blank at its end."""
    vocabulary = [("<unk>", 0.0), *((piece, -float(len(known))) for piece in known), ("<blank>", -99.0)]
    inner = Tokenizer(models.Unigram(vocabulary, unk_id=0))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    return _.PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")


def score(tokenizer: Any, hotwords: tuple[str, ...], said: Sequence[str], blank: int = 0) -> int:
    """Return the score of tokens, given as pieces, with some hotwords."""
    tree = Phrasebook(tokenizer, blank=blank).spell(hotwords).tree
    return earned(tree, tokenizer.convert_tokens_to_ids(list(said))) if tree else 0


def test_the_case_is_that_of_the_vocabulary(tmp_path: Path) -> None:
    upper, lower = characters(tmp_path, "QUILTERS'"), pieces("▁qu", "il", "ter")
    assert score(upper, ("Quilter",), "QUILTER") == score(upper, ("quilter",), "QUILTER") == 7
    assert score(lower, ("Quilter",), ("▁qu", "il", "ter")) == 3


def test_where_there_are_both_cases_a_phrase_may_open_a_sentence() -> None:
    both = pieces("▁Qu", "▁qu", "il", "ter")
    assert (
        score(both, ("quilter",), ("▁Qu", "il", "ter"))
        == score(both, ("quilter",), ("▁qu", "il", "ter"))
        == 3
    )
    assert score(both, ("Quilter",), ("▁Qu", "il", "ter")) == 3
    assert score(both, ("Quilter",), ("▁qu", "il", "ter")) == 0


def test_letters_are_a_phrase_as_whole_words_only(tmp_path: Path) -> None:
    tokenizer = characters(tmp_path, "ARTISHE'")
    assert score(tokenizer, ("the art",), "THE|ART") == score(tokenizer, ("the art",), "HE|THE|ART|IS") == 6
    assert score(tokenizer, ("art",), "THE|ART'S") == 3
    assert score(tokenizer, ("art",), "START") == score(tokenizer, ("art",), "THE|ARTIST") == 0


def test_pieces_are_a_phrase_as_whole_words_only() -> None:
    tokenizer = pieces("▁", "▁art", "art", "ist", ".", "▁st", "c", "lip")
    assert score(tokenizer, ("art",), ("▁art", ".")) == score(tokenizer, ("art",), ("▁art", "▁st")) == 1
    assert score(tokenizer, ("art",), ("▁art", "ist")) == score(tokenizer, ("art",), ("▁st", "art")) == 0
    assert score(tokenizer, ("clip",), ("▁art", "▁", "c", "lip")) == 2
    assert score(tokenizer, ("clip",), ("▁art", "c", "lip")) == 0


def test_scripts_without_spaces_have_phrases_anywhere() -> None:
    tokenizer = pieces("▁", "北", "京", "在", "人")
    assert score(tokenizer, ("北京",), ("▁", "在", "北", "京", "人")) == 2


def test_what_the_vocabulary_cannot_write_is_left_out_and_said(tmp_path: Path) -> None:
    book = Phrasebook(characters(tmp_path, "ART"), blank=0)
    assert book.spell(("art", "tar")).complete
    some = book.spell(("art", "déjà vu"))
    assert some.tree is not None
    assert not some.complete
    none = book.spell(("déjà vu",))
    assert none.tree is None
    assert not none.complete


@pytest.mark.parametrize("phrase", ["<pad>", "<unk>", "</s>", "|", "a <pad>"])
def test_control_tokens_spelled_by_a_client_are_none(phrase: str, tmp_path: Path) -> None:
    assert Phrasebook(characters(tmp_path, "ART"), blank=0).spell((phrase,)).tree is None


def test_the_blank_of_a_vocabulary_is_no_word() -> None:
    tokenizer = pieces("▁art", "<blank", ">")
    assert Phrasebook(tokenizer, blank=len(tokenizer) - 1).spell(("<blank>",)).tree is None


def test_nothing_asked_for_is_nothing_left_out() -> None:
    book = Phrasebook(pieces("▁art"), blank=0)
    for nothing in ((), ("",), (" ", "\n")):
        assert book.spell(nothing).tree is None
        assert book.spell(nothing).complete


def test_the_last_hotwords_are_remembered_and_no_more() -> None:
    book = Phrasebook(pieces("▁art", "▁tar"), blank=0)
    first = book.spell(("art",))
    assert book.spell(("art",)) is first
    for count in range(CACHED_SPELLINGS):
        book.spell(("tar",) * (count + 1))
    assert book.spell(("art",)) is not first


def test_as_many_and_as_long_hotwords_as_may_be_are_spelled(tmp_path: Path) -> None:
    many = tuple(f"{number:010b}".replace("0", "a").replace("1", "r") * 10 for number in range(MAX_HOTWORDS))
    assert max(map(len, many)) == MAX_HOTWORD_CHARS
    spelling = Phrasebook(characters(tmp_path, "ART"), blank=0).spell(many)
    assert spelling.complete
    assert spelling.tree is not None
