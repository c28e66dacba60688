"""Token times from cross-attention."""

from functools import cache

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from asr.alignment import AlignmentHeads, Floats, best_heads, token_starts, warp

COSTS = st.tuples(st.integers(1, 6), st.integers(1, 8), st.integers(0, 2**32 - 1))


def random_cost(shape: tuple[int, int, int]) -> Floats:
    rows, columns, seed = shape
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)


def cheapest(cost: Floats) -> float:
    """Compute the cheapest cost by the textbook recursion."""

    @cache
    def to(row: int, column: int) -> float:
        here = float(cost[row, column])
        before = [(row - 1, column - 1), (row - 1, column), (row, column - 1)]
        reached = [to(r, c) for r, c in before if r >= 0 and c >= 0]
        return here + (min(reached) if reached else 0.0)

    return to(cost.shape[0] - 1, cost.shape[1] - 1)


def cost_of(cost: Floats, starts: list[int]) -> float:
    """Compute the cost of the cheapest path that enters each row at its start."""
    last = cost.shape[1] - 1
    total = 0.0
    for row, start in enumerate(starts):
        following = starts[row + 1] if row + 1 < len(starts) else None
        ends = [last] if following is None else [end for end in (following - 1, following) if end >= start]
        total += min(float(cost[row, start : end + 1].sum()) for end in ends)
    return total


@given(shape=COSTS)
def test_the_path_is_the_cheapest_one(shape: tuple[int, int, int]) -> None:
    cost = random_cost(shape)
    starts = [int(start) for start in warp(cost)]
    assert abs(cost_of(cost, starts) - cheapest(cost)) < 1e-4


@given(shape=COSTS)
def test_starts_begin_at_zero_and_never_decrease(shape: tuple[int, int, int]) -> None:
    starts = warp(random_cost(shape))
    assert starts[0] == 0
    assert (np.diff(starts) >= 0).all()
    assert starts[-1] < shape[1]


def test_tokens_start_where_their_attention_rises() -> None:
    attention = np.full((2, 3, 60), 1e-3, dtype=np.float32)
    for row, (start, end) in enumerate(((0, 20), (20, 45), (45, 60))):
        attention[:, row, start:end] = 0.05
    assert list(token_starts(attention)) == [0, 20, 45]


def test_more_tokens_than_frames_still_get_starts() -> None:
    starts = token_starts(np.full((1, 9, 2), 0.5, dtype=np.float32))
    assert len(starts) == 9
    assert set(starts.tolist()) <= {0, 1}


def test_known_weights_align_words_with_measured_heads() -> None:
    tiny = [[1, 0], [2, 0], [2, 5], [3, 0], [3, 1], [3, 2], [3, 3], [3, 4]]
    measured = best_heads(tiny)
    assert measured == best_heads([tuple(head) for head in reversed(tiny)])
    assert measured == AlignmentHeads(((1, 5), (2, 0)), -40)


def test_other_weights_align_words_with_their_published_heads() -> None:
    assert best_heads([[3, 1], [1, 0]]) == AlignmentHeads(((3, 1), (1, 0)), 0)
    assert best_heads([]).heads == ()
