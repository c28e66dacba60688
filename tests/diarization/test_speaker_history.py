"""Test that speakers of earlier utterances are corrected once later ones tell more, on synthetic voices."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diarization.chunks import EMBEDDING, Floats, normalized
from diarization.clustering import MAX_SPEAKERS
from diarization.known_speakers import LABELS
from diarization.online_speakers import OnlineSpeakers
from diarization.speaker_history import (
    MAX_KEPT,
    HeardUtterance,
    SpeakerChange,
    SpeakerHistory,
    regrouped,
)
from diarization.turns import Turn
from tests.examples import examples

NONE = np.zeros(0, np.intp)


def voice(weights: dict[int, float], seed: int = 0, noise: float = 0.02) -> Floats:
    """Return a voice as a mixture of a few independent ones, by number."""
    scatter = np.random.default_rng(seed).standard_normal(EMBEDDING) * noise
    for number, weight in weights.items():
        scatter[number] += weight
    return normalized(scatter.astype(np.float32))


class Stream:
    """Hear utterances of one voice and one word each, as a stream does."""

    def __init__(self) -> None:
        self.speakers, self.history = OnlineSpeakers(), SpeakerHistory()
        self.count = 0

    def hear(self, said: Floats, seconds: float = 3) -> str:
        number = self.speakers.number_of(said, seconds)
        start = 1_000 * self.count
        self.count += 1
        spans = np.array([(start, start + 900)], np.int64)
        lengths = np.array([seconds], np.float32)
        turn = Turn(start, start + 900, 0)
        heard = HeardUtterance(
            self.count, (start, start + 1_000), spans, [turn], said[None], lengths, [number]
        )
        heard.speaker, heard.word_speakers = heard.find_speakers(self.speakers.labels)
        self.history.add(heard)
        return heard.speaker

    def revise(self) -> list[SpeakerChange]:
        return self.history.revise(self.speakers)


def merged_stream() -> Stream:
    """Return a stream whose second utterance was taken for a new speaker, because it was unclear."""
    stream = Stream()
    assert stream.hear(voice({0: 1})) == "A"
    assert stream.hear(voice({0: 0.3, 1: 1}, 1), 1.5) == "B"
    assert stream.revise() == []  # Nothing tells yet that these are one.
    for seed in (2, 3, 4):
        stream.hear(voice({0: 1, 1: 0.5}, seed))
    return stream


def test_two_speakers_who_turn_out_to_be_one_are_merged() -> None:
    stream = merged_stream()
    assert stream.revise() == [SpeakerChange(2, "A", ((1_000, 1_900, "A"),))]
    assert stream.revise() == []
    assert stream.hear(voice({0: 1, 1: 0.5}, 9)) == "A"
    assert stream.hear(voice({7: 1})) == "C"  # B is not given to another voice.


def test_similar_speakers_of_one_utterance_each_stay_apart() -> None:
    stream = Stream()
    similar = [voice({0: 0.65, number: 0.76}, seed=number) for number in (1, 2, 3)]
    assert [stream.hear(each, 5) for each in similar] == ["A", "B", "C"]
    assert stream.revise() == []
    assert [stream.hear(each, 1.5) for each in similar] == ["A", "B", "C"]
    assert stream.revise() == []


def test_speaker_who_turns_out_to_be_two_is_split() -> None:
    stream = Stream()
    assert [stream.hear(voice({0: 1}, n)) for n in range(2)] == ["A", "A"]
    assert stream.hear(voice({0: 0.55, 1: 0.85}, 5), 6) == "A"
    changes = [
        change for n in range(3) for change in (stream.hear(voice({1: 1}, 10 + n), 6), stream.revise())[1]
    ]
    assert [(change.utterance, change.speaker) for change in changes if change.utterance == 3] == [(3, "B")]


def test_speaker_who_loses_a_voice_is_merged_at_once() -> None:
    stream = Stream()
    assert stream.hear(voice({2: 1, 3: 1}), 1) == "A"
    assert stream.hear(voice({1: 1, 2: 1}, 1), 1) == "A"
    assert stream.hear(voice({3: 1}, 2), 1) == "B"  # not like the mean of both, but like the first alone
    assert [(change.utterance, change.speaker) for change in stream.revise()] == [(2, "C"), (3, "A")]


def test_named_speaker_keeps_the_name_whatever_is_merged() -> None:
    stream = Stream()
    clip = voice({0: 1})
    stream.history.references.append((stream.speakers.enrol("Ann", clip, 4), clip, 4))
    assert stream.hear(voice({0: 0.3, 1: 1}, 1), 30) == "A"
    assert [stream.hear(voice({0: 1, 1: 0.5}, seed)) for seed in (2, 3, 4)] == ["Ann"] * 3
    assert [(change.utterance, change.speaker) for change in stream.revise()] == [(1, "Ann")]


def test_name_that_comes_late_is_told_for_earlier_utterances() -> None:
    stream = Stream()
    assert stream.hear(voice({3: 1})) == "A"
    clip = voice({3: 1}, 1)
    stream.history.references.append((stream.speakers.enrol("Ann", clip, 4), clip, 4))
    assert stream.revise() == [SpeakerChange(1, "Ann", ((0, 900, "Ann"),))]


def test_similar_named_speakers_are_never_merged() -> None:
    voices = np.stack([voice({0: 1}), voice({0: 1, 1: 0.3}), voice({0: 1, 1: 0.25}, 1)])
    seconds = np.full(3, 4, np.float32)
    numbers = regrouped(voices, seconds, np.array([0, 1, 0]), np.array([0, 1]), 2, 20)
    assert numbers.tolist() == [0, 1, 1]


said = st.lists(st.tuples(st.integers(0, 8), st.floats(0.3, 9), st.floats(0, 1.2)), min_size=1, max_size=60)


@examples(60)
@given(said)
def test_corrections_say_what_changed_and_end(said: list[tuple[int, float, float]]) -> None:
    stream = Stream()
    told: dict[int, str] = {}
    for n, (who, seconds, other) in enumerate(said):
        told[n + 1] = stream.hear(voice({who: 1, (who + 1) % 9: other}, n), seconds)
        for change in stream.revise():
            assert told[change.utterance] != change.speaker
            assert [label for _, _, label in change.words] == [change.speaker]
            told[change.utterance] = change.speaker
        assert stream.revise() == []
    numbers = {each.number: each.numbers[0] for each in stream.history.utterances}
    assert told == {number: stream.speakers.labels[each] for number, each in numbers.items()}
    assert np.linalg.norm(stream.speakers.voices[sorted(set(numbers.values()))], axis=1) == pytest.approx(
        1, abs=1e-4
    )


def test_history_and_speakers_are_bounded() -> None:
    stream = Stream()
    for n in range(MAX_KEPT + 40):
        stream.hear(voice({n % 100: 1}, n), 2)
        if n % 20 == 0:
            stream.revise()
    stream.revise()
    assert len(stream.history.utterances) == MAX_KEPT
    assert sum(label in LABELS for label in stream.speakers.labels) == MAX_SPEAKERS
    assert len(stream.history.forgotten) <= len(stream.speakers.labels)


def test_restored_history_corrects_as_before() -> None:
    stream = merged_stream()
    restored = Stream()
    restored.speakers = OnlineSpeakers.restored(json.loads(json.dumps(stream.speakers.saved())))
    restored.history = SpeakerHistory.restored(json.loads(json.dumps(stream.history.saved())))
    assert restored.revise() == stream.revise() != []
