"""Test the clustering on synthetic voices: directions in space with noise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diarization.chunks import EMBEDDING, Floats, normalized
from diarization.clustering import (
    MAX_CLUSTERED,
    MAX_SPEAKERS,
    Labels,
    SpeakerBounds,
    SpeakerBoundsError,
    cluster,
    in_order_of_appearance,
)
from tests.examples import examples


def voices(who: list[int], seed: int, noise: float = 0.05) -> Floats:
    """Return an embedding for each number of a speaker; speakers have orthogonal directions."""
    scatter = np.random.default_rng(seed).standard_normal((len(who), EMBEDDING)) * noise
    return normalized((np.eye(EMBEDDING)[who] + scatter).astype(np.float32))


def seconds(count: int, each: float = 3.0) -> Floats:
    return np.full(count, each, np.float32)


@examples(60)
@given(who=st.lists(st.integers(0, 5), min_size=1, max_size=60), seed=st.integers(0, 1_000))
def test_clear_voices_are_told_apart(who: list[int], seed: int) -> None:
    labels = cluster(voices(who, seed), seconds(len(who)))
    assert labels.tolist() == in_order_of_appearance(np.array(who)).tolist()


@examples(60)
@given(
    who=st.lists(st.integers(0, 5), min_size=6, max_size=40),
    seed=st.integers(0, 1_000),
    least=st.integers(1, 6),
    more=st.integers(0, 3),
)
def test_number_of_speakers_lies_within_the_bounds(who: list[int], seed: int, least: int, more: int) -> None:
    labels = cluster(voices(who, seed), seconds(len(who)), SpeakerBounds(least, least + more))
    assert least <= labels.max() + 1 <= least + more
    assert set(labels.tolist()) == set(range(labels.max() + 1))


@examples(40)
@given(who=st.lists(st.integers(0, 3), min_size=2, max_size=30), seed=st.integers(0, 1_000))
def test_order_of_embeddings_does_not_change_the_groups(who: list[int], seed: int) -> None:
    embeddings = voices(who, seed)
    order = np.random.default_rng(seed).permutation(len(who))
    labels = cluster(embeddings, seconds(len(who)))
    shuffled = cluster(embeddings[order], seconds(len(who)))
    assert _pairs(shuffled).tolist() == _pairs(labels[order]).tolist()


def _pairs(labels: Labels) -> Labels:
    pairs: Labels = (labels[:, None] == labels).astype(np.intp)
    return pairs


def test_unclear_embedding_founds_no_group() -> None:
    lengths = seconds(5)
    lengths[4] = 0.4
    assert cluster(voices([0, 0, 1, 1, 2], 3), lengths).max() == 1


def test_speaker_of_a_moment_is_no_group() -> None:
    lengths = seconds(5)
    lengths[4] = 1.2
    assert cluster(voices([0, 0, 1, 1, 2], 3), lengths).max() == 1
    assert cluster(voices([0, 0, 1, 1, 2], 3), lengths, SpeakerBounds(least=3)).max() == 2


def with_similarities(within: float, between: float, who: list[int]) -> Floats:
    """Return an embedding for each number of a speaker, with exact similarities."""
    shared, own, rest = between, within - between, 1 - within
    rows = np.zeros((len(who), 1 + len(who) + max(who) + 1), np.float32)
    for row, speaker in enumerate(who):
        rows[row, 0] = np.sqrt(shared)
        rows[row, 1 + speaker] = np.sqrt(own)
        rows[row, 2 + max(who) + row] = np.sqrt(rest)
    return rows


TWO = [0, 0, 1, 1, 0, 1]


@pytest.mark.parametrize(
    ("within", "between", "groups"),
    [(0.7, 0.45, 2), (0.7, 0.52, 1), (0.6, 0.42, 1), (0.6, 0.32, 2), (0.45, 0.3, 2)],
)
def test_similar_voices_are_apart_where_the_similarity_drops(
    within: float, between: float, groups: int
) -> None:
    labels = cluster(with_similarities(within, between, TWO), seconds(len(TWO)))
    assert labels.max() + 1 == groups


def test_drop_of_the_similarity_of_a_short_group_is_no_speaker() -> None:
    who = [0, 0, 0, 0, 1]
    lengths = seconds(len(who))
    assert cluster(with_similarities(0.7, 0.45, who), lengths).max() == 0
    lengths[4] = 5.0
    assert cluster(with_similarities(0.7, 0.45, who), lengths).max() == 1


def test_recording_of_unclear_embeddings_has_a_speaker() -> None:
    assert cluster(voices([0, 0], 1), seconds(2, 0.5)).tolist() == [0, 0]


def test_no_embeddings_have_no_labels() -> None:
    assert cluster(voices([], 1), seconds(0)).tolist() == []


def test_embeddings_beyond_the_limit_join_the_groups() -> None:
    who = [number % 3 for number in range(MAX_CLUSTERED + 100)]
    assert cluster(voices(who, 4), seconds(len(who))).tolist() == who


@pytest.mark.parametrize(("least", "most"), [(0, 2), (3, 2), (1, MAX_SPEAKERS + 1)])
def test_contradicting_bounds_are_refused(least: int, most: int) -> None:
    with pytest.raises(SpeakerBoundsError, match=f"{least} to {most}"):
        SpeakerBounds(least, most)
