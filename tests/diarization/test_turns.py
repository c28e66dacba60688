"""Test how the speakers of chunks become turns, on chunks whose speakers are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diarization.chunk_cutter import STEP_SAMPLES
from diarization.chunks import CHUNK_SAMPLES, EMBEDDING, FRAME_SAMPLES, LOCAL_SPEAKERS, ChunkSpeakers, Flags
from diarization.turns import PlacedChunk, diarize
from tests.examples import examples

FRAMES = 589  # of a chunk
BLOCK = 147  # frames: a quarter of a chunk, 2.5 s


def chunk(speaking: Flags, order: list[int]) -> ChunkSpeakers:
    """Return a chunk in which the speakers, bool (frames, n), have the local numbers of `order`."""
    active = np.zeros((len(speaking), LOCAL_SPEAKERS), np.bool_)
    pieces, embeddings = [], []
    for local, speaker in enumerate(order):
        active[:, local] = speaking[:, speaker]
        alone = speaking[:, speaker] & (speaking.sum(axis=1) == 1)
        for first in range(0, len(speaking), BLOCK):
            if alone[first : first + BLOCK].all() and len(alone[first:]) >= BLOCK:
                pieces.append((local, first, first + BLOCK))
                embeddings.append(np.eye(EMBEDDING)[speaker])
    return ChunkSpeakers(
        active,
        np.array(pieces, np.int32).reshape(-1, 3),
        np.array(embeddings, np.float32).reshape(-1, EMBEDDING),
    )


def chunks_of(blocks: list[set[int]], orders: list[list[int]]) -> list[PlacedChunk]:
    """Return the chunks of a recording; blocks: who speaks in each 2.5 s; orders: local numbers by chunk."""
    speaking = np.zeros((BLOCK * len(blocks), 3), np.bool_)
    for number, who in enumerate(blocks):
        speaking[number * BLOCK : (number + 1) * BLOCK, list(who)] = True
    placed = []
    for number, start in enumerate(range(0, max(1, len(speaking) - BLOCK), 2 * BLOCK)):
        placed.append(
            PlacedChunk(
                start * FRAME_SAMPLES,
                chunk(speaking[start : start + 4 * BLOCK], orders[number % len(orders)]),
            )
        )
    return placed


def test_turns_have_the_places_of_the_speech() -> None:
    blocks: list[set[int]] = [{0}, {0}, {1}, set(), {1}, {0}, {2}, {2}, {0}, {0}]
    found = diarize(chunks_of(blocks, [[0, 1, 2]])).turns
    block = BLOCK * FRAME_SAMPLES
    edges = [(round(t.start / block, 1), round(t.end / block, 1), t.speaker) for t in found]
    assert edges == [(0, 2, 0), (2, 3, 1), (4, 5, 1), (5, 6, 0), (6, 8, 2), (8, 10, 0)]


def test_speakers_at_once_have_overlapping_turns() -> None:
    blocks: list[set[int]] = [{0}, {0, 1}, {1}]
    found = diarize(chunks_of(blocks, [[1, 0, 2]])).turns
    assert [turn.speaker for turn in found] == [0, 1]
    assert found[1].start < found[0].end
    overlap = found[0].end - found[1].start
    assert abs(overlap - BLOCK * FRAME_SAMPLES) <= 2 * FRAME_SAMPLES


def test_recording_without_speech_has_no_turns() -> None:
    assert diarize([]).turns == ()
    silent = diarize(chunks_of([set(), set()], [[0, 1, 2]]))
    assert silent.turns == ()
    assert len(silent.voices) == 0


@examples(60)
@given(
    who=st.lists(st.integers(0, 2), min_size=5, max_size=20),
    orders=st.lists(st.permutations([0, 1, 2]), min_size=1, max_size=4),
)
def test_local_numbers_do_not_matter(who: list[int], orders: list[list[int]]) -> None:
    blocks = [{speaker} for speaker in who]
    assert diarize(chunks_of(blocks, orders)).turns == diarize(chunks_of(blocks, [[0, 1, 2]])).turns


@examples(60)
@given(who=st.lists(st.sampled_from([-1, 0, 1, 2]), min_size=1, max_size=20))
def test_turns_are_in_order_and_numbered_as_they_appear(who: list[int]) -> None:
    found = diarize(chunks_of([{n} - {-1} for n in who], [[0, 1, 2]])).turns
    assert [turn.start for turn in found] == sorted(turn.start for turn in found)
    assert all(turn.start < turn.end for turn in found)
    numbers = list(dict.fromkeys(turn.speaker for turn in found))
    assert numbers == list(range(len(numbers)))


@pytest.mark.slow
def test_chunks_of_two_hours_stay_small() -> None:
    count = 2 * 3_600 * 16_000 // STEP_SAMPLES
    speaking = np.zeros((FRAMES, 3), np.bool_)
    speaking[:, 0] = True
    same = chunk(speaking, [0, 1, 2])
    found = diarize([PlacedChunk(n * STEP_SAMPLES, same) for n in range(count)])
    assert [turn.speaker for turn in found.turns] == [0]
    assert found.turns[0].end > (count - 1) * STEP_SAMPLES + CHUNK_SAMPLES - 2_000


@examples(30)
@given(
    st.lists(st.sets(st.integers(0, 2), max_size=2), min_size=2, max_size=8),
    st.lists(st.permutations([0, 1, 2]), min_size=1, max_size=3),
)
def test_overlaps_are_where_several_speak(blocks: list[set[int]], orders: list[list[int]]) -> None:
    blocks = [{0}, *blocks]  # someone must be heard alone
    overlaps = diarize(chunks_of(blocks, orders)).overlaps
    block = BLOCK * FRAME_SAMPLES
    found = [overlaps.within(n * block, (n + 1) * block) / block for n in range(len(blocks))]
    assert found == pytest.approx([float(len(who) > 1) for who in blocks], abs=0.02)
