"""Find repeated, endless and short texts."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.whisper_guard import (
    MIN_BLOCK,
    MIN_REPEATED,
    find_fault,
    find_loop,
    is_loop,
    is_sparse,
    loud_seconds,
    without_loop,
)
from audio.clip import SAMPLE_RATE, Samples
from tests.asr import tiny

SPEECH = tiny.babble(4).samples
SENTENCE = list(range(10, 22))
TEXT = "He rose from his chair and went to look into the street."


def fault_of(
    ids: Sequence[int],
    text: str,
    *,
    samples: Samples = SPEECH,
    no_speech: float = 0.1,
    has_ended: bool = True,
) -> str | None:
    return find_fault(ids, text, samples, no_speech=no_speech, has_ended=has_ended)


def test_plain_text_has_no_fault() -> None:
    assert fault_of(SENTENCE, TEXT) is None


def test_text_without_end_is_faulty() -> None:
    assert fault_of(SENTENCE, TEXT, has_ended=False) == "no end"


def test_text_that_begins_again_is_faulty() -> None:
    assert fault_of(SENTENCE * 2, f"{TEXT} {TEXT}") == "repetition"


def test_text_that_compresses_well_is_faulty() -> None:
    """The copies differ in their tokens, so only the compression shows them."""
    text = " ".join(f"{TEXT} {number}" for number in range(4))
    assert fault_of(range(40), text) == "repetition"


def test_repeated_words_at_the_pace_of_speech_are_no_loop() -> None:
    """Babble of 4 s has 4 s of sound."""
    ids, text = [*[7, 8] * 15, 9], "testing, " * 15 + "one"
    assert not is_loop(ids, text, SPEECH, has_ended=True)
    assert is_loop(ids, text, SPEECH, has_ended=False)
    assert is_loop(ids, text, SPEECH[: SAMPLE_RATE * 2], has_ended=True)
    assert is_loop(SENTENCE * 3, f"{TEXT} " * 3, SPEECH, has_ended=True)
    assert not is_loop(SENTENCE, TEXT, SPEECH, has_ended=False)


def test_short_text_of_long_speech_is_faulty() -> None:
    assert fault_of(SENTENCE[:2], "He rose") == "early end"
    assert fault_of([], "") == "early end"


def test_silence_is_not_decoded_again() -> None:
    assert fault_of(SENTENCE[:1], "You", no_speech=0.8) is None
    assert fault_of([], "", no_speech=0.8) is None
    assert fault_of(SENTENCE, TEXT, no_speech=0.8, has_ended=False) == "no end"


def test_empty_text_of_short_noise_is_no_fault() -> None:
    assert fault_of([], "", samples=tiny.babble(1).samples) is None


@pytest.mark.parametrize("words", [1, 2, 3])
def test_few_repeated_words_are_no_loop(words: int) -> None:
    assert find_loop([1, 2, 3, *([7] * (words + 1)), 4]) is None


def test_text_that_is_only_two_copies_is_a_loop() -> None:
    assert find_loop([1, 2, 1, 2]) == (0, 2, 2)
    assert find_loop([7, 7]) is None


@given(
    before=st.lists(st.integers(0, 99), max_size=20),
    block=st.lists(st.integers(100, 199), min_size=1, max_size=12, unique=True),
    after=st.lists(st.integers(200, 299), max_size=20, unique=True),
)
def test_repeated_block_is_found_and_removed(before: list[int], block: list[int], after: list[int]) -> None:
    before = list(dict.fromkeys(before))
    copies = 2 if len(block) >= MIN_BLOCK else 1 + MIN_REPEATED
    assert find_loop([*before, *block * copies, *after]) == (
        len(before),
        len(block),
        len(block) * (copies - 1),
    )
    assert without_loop([*before, *block * copies, *after]) == [*before, *block, *after]


@given(st.lists(st.integers(0, 3), max_size=60))
def test_text_without_loop_keeps_its_first_and_last_tokens(ids: list[int]) -> None:
    shorter = without_loop(ids)
    assert len(shorter) <= len(ids)
    assert shorter[:1] == ids[:1]
    assert (find_loop(ids) is None) == (shorter == ids)


@given(st.lists(st.integers(0, 9**9), unique=True, max_size=60))
def test_distinct_tokens_are_no_loop(ids: list[int]) -> None:
    assert find_loop(ids) is None
    assert without_loop(ids) == ids


def test_text_with_few_tokens_for_its_sound_is_sparse() -> None:
    assert not is_sparse(len(SENTENCE), SPEECH)
    assert is_sparse(len(SENTENCE) // 2, SPEECH)
    assert not is_sparse(0, SPEECH[:SAMPLE_RATE])  # so little sound need not be speech


def test_loud_seconds_count_sound_without_silence() -> None:
    sound = np.concatenate([np.zeros(SAMPLE_RATE), SPEECH, np.zeros(2 * SAMPLE_RATE)]).astype(np.float32)
    assert loud_seconds(sound) == pytest.approx(4, abs=0.5)
    assert loud_seconds(sound[:0]) == 0
