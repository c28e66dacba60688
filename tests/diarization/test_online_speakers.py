"""Test that speakers keep their numbers over a stream, on synthetic voices."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diarization.chunks import EMBEDDING, Floats, normalized
from diarization.clustering import MAX_SPEAKERS
from diarization.known_speakers import LABELS, MAX_KNOWN
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


def test_named_voice_is_called_by_its_name_and_takes_no_letter() -> None:
    speakers = OnlineSpeakers()
    speakers.enrol("Ann", voice(3), 5)
    numbers = [speakers.number_of(voice(who, 1), 3) for who in (0, 3, 1)]
    assert [speakers.labels[number] for number in numbers] == ["A", "Ann", "B"]


def test_speaker_who_was_heard_before_gets_the_name() -> None:
    speakers = OnlineSpeakers()
    first, second = speakers.number_of(voice(0), 3), speakers.number_of(voice(1), 3)
    speakers.enrol("Ann", voice(1, 1), 5)
    assert speakers.number_of(voice(1, 2), 3) == second
    assert [speakers.labels[first], speakers.labels[second]] == ["A", "Ann"]
    assert speakers.labels[speakers.number_of(voice(2), 3)] == "B"  # whose letter is free again


def test_uncertain_voice_is_not_called_by_a_name_that_was_not_heard() -> None:
    speakers = OnlineSpeakers()
    speakers.enrol("Ann", voice(3), 5)
    assert speakers.labels[speakers.number_of(voice(0), 0.4)] == "A"
    assert speakers.labels[speakers.number_of(voice(1), 0.4)] == "A"


def test_names_and_letters_are_bounded() -> None:
    speakers = OnlineSpeakers()
    for n in range(MAX_KNOWN):
        speakers.enrol(f"name {n}", voice(100 + n), 5)
    speakers.enrol("name 0", voice(100, 1), 5)
    with pytest.raises(ValueError, match="at most"):
        speakers.enrol("one more", voice(150), 5)
    for who in range(MAX_SPEAKERS + 5):
        speakers.number_of(voice(who), 5)
    assert speakers.labels[MAX_KNOWN:] == list(LABELS[:MAX_SPEAKERS])


@examples(50)
@given(heard, st.integers(0, 8))
def test_restored_speakers_go_on_as_before(heard: list[tuple[int, float]], enrolled: int) -> None:
    speakers = OnlineSpeakers()
    speakers.enrol("Ann", voice(enrolled), 4)
    for n, (who, seconds) in enumerate(heard):
        speakers.number_of(voice(who, n), seconds)
    restored = OnlineSpeakers.restored(json.loads(json.dumps(speakers.saved())))
    for n, (who, seconds) in enumerate(heard):
        voice_now = voice(who, 100 + n)
        assert restored.number_of(voice_now, seconds) == speakers.number_of(voice_now, seconds)
    assert (restored.labels, restored.heard) == (speakers.labels, speakers.heard)


def test_forgotten_name_of_one_who_spoke_becomes_a_letter() -> None:
    speakers = OnlineSpeakers()
    speakers.enrol("Ann", voice(0), 5)
    assert speakers.number_of(voice(0, 1), 5) == 0
    assert speakers.number_of(voice(1), 5) == 1
    assert speakers.keep_names([]) == [0]
    assert speakers.labels == ["B", "A"]
    assert speakers.number_of(voice(0, 2), 5) == 0


def test_forgotten_voice_that_was_not_heard_is_found_no_more() -> None:
    speakers = OnlineSpeakers()
    speakers.enrol("Ann", voice(0), 5)
    speakers.enrol("Bob", voice(1), 5)
    speakers.keep_names(["Bob"])
    speakers = OnlineSpeakers.restored(json.loads(json.dumps(speakers.saved())))
    assert speakers.nearest(voice(0)) is None
    assert speakers.labels[speakers.number_of(voice(0), 5)] == "A"
    assert speakers.labels[speakers.number_of(voice(1), 5)] == "Bob"


def test_replaced_names_take_no_more_room() -> None:
    speakers = OnlineSpeakers()
    for n in range(5 * MAX_KNOWN):
        names = [str(n + k) for k in range(MAX_KNOWN)]
        speakers.keep_names(names)
        for name in names:
            speakers.enrol(name, voice(int(name)), 5)
    assert len(speakers.voices) <= MAX_KNOWN
    assert sorted(speakers.labels) == sorted(names)
