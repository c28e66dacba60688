"""Test what a model of batch durations predicts, with recognizers whose costs are known."""

import random
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batching.cost_model import CostModel
from tests.examples import examples


@dataclass(frozen=True)
class Truth:
    """A recognizer whose batches take these seconds per batch, clip and second of audio."""

    batch: float
    clip: float
    second: float

    def seconds(self, clips: list[float], batches: int = 1) -> float:
        return batches * self.batch + len(clips) * self.clip + sum(clips) * self.second


KINDS = {
    "fixed": Truth(0.0, 0.7, 0.0),
    "linear": Truth(0.0, 0.0, 0.3),
    "mixed": Truth(0.0, 0.3, 0.1),
    "by batch": Truth(0.2, 0.01, 0.01),
}
FEW = 8  # batches after which the forecast must be good
NOISE = 0.1
NEGLIGIBLE = 0.2  # seconds

clip = st.floats(0.3, 1.5) | st.floats(1.5, 6.0) | st.floats(6.0, 30.0)


def taught(truth: Truth, batches: list[list[float]], chance: random.Random | None = None) -> CostModel:
    model = CostModel()
    for clips in batches:
        noise = 1.0 if chance is None else chance.uniform(1 - NOISE, 1 + NOISE)
        model.learn(len(clips), sum(clips), noise * truth.seconds(clips))
    return model


@pytest.mark.parametrize("kind", KINDS)
@examples(200)
@given(
    batches=st.lists(st.lists(clip, min_size=1, max_size=4), min_size=FEW - 3, max_size=2 * FEW),
    waiting=st.lists(clip, min_size=1, max_size=40),
    seed=st.integers(0, 1000),
)
@example(
    batches=[[2.0, 3.0], [1.0, 22.0], [3.0], [0.3125], [3.0], [6.0], [7.0], [0.5]], waiting=[0.375], seed=0
)
def test_forecast_is_near_the_truth_after_a_few_batches(
    kind: str, batches: list[list[float]], waiting: list[float], seed: int
) -> None:
    truth = KINDS[kind]
    various = [[0.8], [10.0], [2.0] * 8, *batches]
    model = taught(truth, random.Random(seed).sample(various, len(various)), random.Random(seed))
    queued = -(-len(waiting) // 8)
    forecast, seconds = model.seconds(len(waiting), sum(waiting), queued), truth.seconds(waiting, queued)
    assert seconds / 1.5 - NEGLIGIBLE < forecast < 1.5 * seconds + NEGLIGIBLE


def test_short_answers_cause_no_false_overload() -> None:
    truth = KINDS["fixed"]
    model = taught(truth, [[0.75]] * 5)
    assert model.seconds(1, 10.0) < 3 * truth.seconds([10.0])
    model.learn(1, 10.0, truth.seconds([10.0]))
    assert model.seconds(1, 10.0) == pytest.approx(truth.seconds([10.0]), rel=0.3)
    assert model.seconds(1, 0.75) == pytest.approx(truth.seconds([0.75]), rel=0.3)


def test_forecast_follows_a_machine_that_becomes_slow() -> None:
    truth = KINDS["mixed"]
    model = taught(truth, [[0.8], [10.0], [2.0, 5.0]] * 5)
    for clips in ([3.0], [8.0, 1.0], [4.0], [2.0], [12.0], [1.0]):
        model.learn(len(clips), sum(clips), 5 * truth.seconds(clips))
    assert model.seconds(3, 30.0) == pytest.approx(5 * truth.seconds([10.0] * 3), rel=0.35)


def test_single_slow_batch_changes_little() -> None:
    truth = KINDS["mixed"]
    model = taught(truth, [[0.8], [10.0], [2.0, 5.0]] * 5)
    model.learn(1, 5.0, 20 * truth.seconds([5.0]))
    assert model.seconds(3, 30.0) < 4 * truth.seconds([10.0] * 3)


def test_equal_clips_do_not_erase_what_short_ones_cost() -> None:
    truth = KINDS["fixed"]
    model = taught(truth, [[0.8], [10.0], [2.0, 5.0], [1.0], *[[10.0]] * 100])
    assert model.seconds(10, 8.0, 10) == pytest.approx(truth.seconds([0.8] * 10), rel=0.5)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 64), st.floats(0, 3600), st.floats(0, 1e4)), min_size=1, max_size=30)
)
def test_rates_are_finite_and_never_negative(batches: list[tuple[int, float, float]]) -> None:
    model = CostModel()
    for items, units, seconds in batches:
        model.learn(items, units, seconds)
        for part in (model.seconds(1, 0, 0), model.seconds(0, 1, 0), model.seconds(0, 0, 1)):
            assert 0 <= part < 1e9


def test_nothing_is_expected_before_the_first_batch() -> None:
    assert CostModel().seconds(5, 100.0) == 0.0
