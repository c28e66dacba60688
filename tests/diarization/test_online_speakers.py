"""Test that speakers keep their numbers over a stream, on synthetic voices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diarization.chunks import EMBEDDING, Floats, normalized
from diarization.clustering import MAX_SPEAKERS
from diarization.online_speakers import MAX_SECONDS, MIN_SECONDS, OnlineSpeakers
from tests.examples import examples


def voice(speaker: int, seed: int = 0, noise: float = 0.05) -> Floats:
    scatter = np.random.default_rng([speaker, seed]).standard_normal(EMBEDDING) * noise
    return normalized((np.eye(EMBEDDING)[speaker] + scatter).astype(np.float32))


heard = st.lists(st.tuples(st.integers(0, 5), st.floats(0.3, 30)), min_size=1, max_size=40)


@examples(100)
@given(heard)
def test_clear_voices_keep_the_numbers_of_their_first_appearance(heard: list[tuple[int, float]]) -> None:
    speakers = OnlineSpeakers()
    seconds = [max(each, MIN_SECONDS) for _, each in heard]
    numbers = [
        speakers.number_of(voice(who, n), each)
        for n, ((who, _), each) in enumerate(zip(heard, seconds, strict=True))
    ]
    first = {who: n for n, who in enumerate(dict.fromkeys(who for who, _ in heard))}
    assert numbers == [first[who] for who, _ in heard]


@examples(100)
@given(heard)
def test_numbers_are_few_and_begin_with_zero(heard: list[tuple[int, float]]) -> None:
    speakers = OnlineSpeakers()
    numbers = [speakers.number_of(voice(who, n, 0.2), seconds) for n, (who, seconds) in enumerate(heard)]
    assert list(dict.fromkeys(numbers)) == list(range(len(set(numbers))))
    assert len(speakers.voices) == len(speakers.seconds) == len(set(numbers)) <= MAX_SPEAKERS
    assert np.linalg.norm(speakers.voices, axis=1) == pytest.approx(1, abs=1e-4)
    assert speakers.seconds.max() <= MAX_SECONDS


def test_uncertain_voice_is_no_new_speaker_and_changes_none() -> None:
    speakers = OnlineSpeakers()
    speakers.number_of(voice(0), 5)
    before = speakers.voices.copy()
    assert speakers.number_of(voice(1), MIN_SECONDS / 2) == 0
    assert np.array_equal(speakers.voices, before)
    assert speakers.number_of(voice(1), 2 * MIN_SECONDS) == 1


def test_first_voice_is_a_speaker_however_short() -> None:
    assert OnlineSpeakers().number_of(voice(0), 0.3) == 0


def test_speakers_beyond_the_limit_join_the_nearest() -> None:
    speakers = OnlineSpeakers()
    for who in range(MAX_SPEAKERS + 5):
        speakers.number_of(voice(who), 5)
    assert len(speakers.voices) == MAX_SPEAKERS
