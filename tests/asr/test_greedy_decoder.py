"""The sampler of the decoder; test_seq2seq compares its loop with generate()."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from asr.greedy_decoder import GumbelSampler

WIDTH = 7


def test_at_temperature_zero_the_lots_change_nothing() -> None:
    assert not GumbelSampler([0.0, 0.0], [1, 2]).draw([0, 1], WIDTH).any()


@given(seed=st.integers(0, 2**32 - 1), temperature=st.floats(0.01, 1))
def test_a_row_draws_the_same_whatever_its_neighbours_are(seed: int, temperature: float) -> None:
    alone = GumbelSampler([temperature], [seed])
    among = GumbelSampler([1.0, temperature, 0.0], [3, seed, seed])
    for rows in ([0, 1, 2], [1], [1, 2]):  # rows leave the batch
        assert torch.equal(among.draw(rows, WIDTH)[rows.index(1)], alone.draw([0], WIDTH)[0])


def test_draws_are_as_frequent_as_the_softmax_at_that_temperature() -> None:
    logits, temperature = torch.tensor([0.0, 0.5, 1.0]), 0.5
    sampler = GumbelSampler([temperature], [0])
    drawn = torch.stack([(logits + sampler.draw([0], 3)[0]).argmax() for _ in range(4000)])
    shares = torch.bincount(drawn, minlength=3) / len(drawn)
    assert torch.allclose(shares, (logits / temperature).softmax(-1), atol=0.03)


def test_what_may_not_be_written_is_never_drawn() -> None:
    logits = torch.tensor([-torch.inf, 0.0])
    sampler = GumbelSampler([1.0], [0])
    assert all((logits + sampler.draw([0], 2)[0]).argmax() == 1 for _ in range(200))
