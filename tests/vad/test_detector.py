"""Test that streams in shared steps get the same probabilities as alone."""

import subprocess
import sys
import threading
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from audio.clip import HOP, Samples
from tests.examples import examples
from vad.detector import ROWS_PER_GROWTH, Detector, NoFreeSlot
from vad.detector_input import NO_HOPS, DetectorInput
from vad.silero_numpy import NumpySilero, NumpyStates
from vad.silero_torch import TorchSilero, TorchStates

ROOT = Path(__file__).parents[2]
HOPS = 12  # of each stream here


def new_detector(network: str, max_slots: int) -> Detector:
    if network == "numpy":
        return Detector(NumpyStates(NumpySilero()), max_slots)
    return Detector(TorchStates(TorchSilero(torch.device("cpu"))), max_slots)


@pytest.fixture(scope="module", params=["numpy", "torch"])
def detector(request: pytest.FixtureRequest) -> Detector:
    return new_detector(request.param, 2000)


@pytest.fixture(scope="module")
def streams() -> list[Samples]:
    """Return six streams (12, 512) of noise, each at its own level."""
    noise = np.random.default_rng(0).standard_normal((6, HOPS, HOP)).astype(np.float32)
    levels = np.array([1e-4, 0.003, 0.01, 0.05, 0.2, 1.0], dtype=np.float32)
    return list(noise * levels[:, None, None])


@pytest.fixture(scope="module")
def expected(detector: Detector, streams: list[Samples]) -> list[NDArray[np.float32]]:
    return [alone(detector, stream) for stream in streams]


def alone(detector: Detector, stream: Samples) -> NDArray[np.float32]:
    """Judge one hop at a time, without other streams in the step."""
    slot = detector.open()
    probs = [detector.step([DetectorInput(slot, hop[None])])[0] for hop in stream]
    detector.close(slot)
    return np.concatenate(probs)


def assert_same(probs: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(probs, expected, rtol=0, atol=1e-5)


@examples(15)
@given(st.lists(st.lists(st.integers(0, 4), min_size=6, max_size=6), max_size=8), st.randoms())
def test_streams_that_arrive_unevenly_are_judged_as_if_alone(
    detector: Detector,
    streams: list[Samples],
    expected: list[NDArray[np.float32]],
    arrivals: list[list[int]],
    random: Random,
) -> None:
    """In each step each stream has 0 to 4 hops ready, in any order of streams; what is left comes at once."""
    slots = [detector.open() for _ in streams]
    done = [0] * len(streams)
    heard: list[list[NDArray[np.float32]]] = [[] for _ in streams]
    for counts in [*arrivals, [HOPS] * len(streams)]:
        ready = [(i, streams[i][done[i] : done[i] + n]) for i, n in enumerate(counts) if n and done[i] < HOPS]
        random.shuffle(ready)
        results = detector.step([DetectorInput(slots[i], hops) for i, hops in ready])
        for (i, hops), judged in zip(ready, results, strict=True):
            assert judged.shape == (len(hops),)
            heard[i].append(judged)
            done[i] += len(hops)
    for slot in slots:
        detector.close(slot)
    for probs, reference in zip(heard, expected, strict=True):
        assert_same(np.concatenate(probs), reference)


def test_many_hops_at_once_are_judged_as_one_at_a_time(
    detector: Detector, streams: list[Samples], expected: list[NDArray[np.float32]]
) -> None:
    slot = detector.open()
    assert_same(detector.step([DetectorInput(slot, streams[4])])[0], expected[4])
    detector.close(slot)


def test_a_slot_is_clean_for_its_next_stream(
    detector: Detector, streams: list[Samples], expected: list[NDArray[np.float32]]
) -> None:
    first = detector.open()
    detector.step([DetectorInput(first, streams[5])])
    detector.close(first)
    second = detector.open()
    assert second % 2000 == first % 2000, "the same row"
    assert second != first
    assert_same(detector.step([DetectorInput(second, streams[2])])[0], expected[2])
    detector.close(second)


def test_late_work_of_a_closed_stream_leaves_the_next_one_alone(
    detector: Detector, streams: list[Samples], expected: list[NDArray[np.float32]]
) -> None:
    """Before, beside and between the work of the stream that holds the row now."""
    first = detector.open()
    detector.step([DetectorInput(first, streams[5][:1])])
    detector.close(first)
    second = detector.open()
    late = DetectorInput(first, streams[5][1:3])
    detector.step([late])
    _, one = detector.step([late, DetectorInput(second, streams[2][:5])])
    detector.step([late])
    two, _ = detector.step([DetectorInput(second, streams[2][5:]), late])
    assert_same(np.concatenate([one, two]), expected[2])
    detector.close(second)


def test_streams_keep_their_state_when_the_table_grows(
    streams: list[Samples], expected: list[NDArray[np.float32]]
) -> None:
    small = new_detector("numpy", 2 * ROWS_PER_GROWTH)
    first = small.open()
    (one,) = small.step([DetectorInput(first, streams[3][:6])])
    others = [small.open() for _ in range(2 * ROWS_PER_GROWTH - 1)]
    small.step([DetectorInput(slot, streams[0][:1]) for slot in others])
    (two,) = small.step([DetectorInput(first, streams[3][6:])])
    assert_same(np.concatenate([one, two]), expected[3])


def test_numpy_and_torch_judge_300_streams_alike() -> None:
    """More streams than the table has rows at first, with one to three hops each."""
    noise = np.random.default_rng(1).standard_normal((300, 3, HOP)).astype(np.float32)
    noise *= np.geomspace(1e-4, 1, 300, dtype=np.float32)[:, None, None]
    judged = []
    for network in ("numpy", "torch"):
        detector = new_detector(network, 300)
        work = [DetectorInput(detector.open(), hops[: 1 + i % 3]) for i, hops in enumerate(noise)]
        judged.append(np.concatenate(detector.step(work) + detector.step(work)))
    assert_same(*judged)


def test_a_full_detector_refuses_until_a_slot_is_given_back() -> None:
    small = Detector.load("cpu", max_slots=2)
    first, _ = small.open(), small.open()
    with pytest.raises(NoFreeSlot):
        small.open()
    assert repr(small) == "<Detector open=2 of 2 rows=1>"
    small.close(first)
    assert len(small) == 1
    small.open()


def test_streams_come_and_go_on_another_thread_while_steps_run(
    detector: Detector, streams: list[Samples], expected: list[NDArray[np.float32]]
) -> None:
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            for slot in [detector.open() for _ in range(20)]:
                detector.close(slot)

    slots = [detector.open() for _ in streams]
    visitor = threading.Thread(target=come_and_go)
    visitor.start()
    steps = [
        detector.step(
            [DetectorInput(slot, stream[k : k + 1]) for slot, stream in zip(slots, streams, strict=True)]
        )
        for k in range(HOPS)
    ]
    stop.set()
    visitor.join()
    for slot, judged, reference in zip(slots, zip(*steps, strict=True), expected, strict=True):
        assert_same(np.concatenate(judged), reference)
        detector.close(slot)


def test_two_items_of_one_slot_in_a_step_are_a_bug(detector: Detector, streams: list[Samples]) -> None:
    slot = detector.open()
    with pytest.raises(AssertionError, match="one item per slot"):
        detector.step([DetectorInput(slot, streams[0][:1]), DetectorInput(slot, streams[0][1:2])])
    detector.close(slot)


def test_closing_a_slot_twice_is_a_bug(detector: Detector) -> None:
    slot = detector.open()
    detector.close(slot)
    with pytest.raises(AssertionError, match="closed once"):
        detector.close(slot)


def test_a_step_without_work_does_nothing(detector: Detector) -> None:
    assert detector.step([]) == []


def test_on_a_cpu_the_detector_needs_no_torch() -> None:
    command = (
        "import sys; from vad.detector import Detector; Detector.load('cpu'); print('torch' in sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=True, timeout=60, cwd=ROOT
    )
    assert told.stdout == "False\n"


def test_a_stream_goes_on_in_another_slot_from_what_was_remembered_of_it(
    detector: Detector, streams: list[Samples], expected: list[NDArray[np.float32]]
) -> None:
    one, other = detector.open(), detector.open()
    for place in (1, 5):
        detector.step([DetectorInput(one, streams[4][:place])])
        (memory,) = detector.step([DetectorInput(one, NO_HOPS)])
        probs, others = detector.step(
            [DetectorInput(other, streams[4][place:], memory), DetectorInput(one, streams[0])]
        )
        assert_same(probs, expected[4][place:])
        assert len(others) == HOPS
        detector.close(one)
        one = detector.open()
    detector.close(one)
    detector.close(other)


def test_asking_for_a_memory_changes_nothing(
    detector: Detector, streams: list[Samples], expected: list[NDArray[np.float32]]
) -> None:
    slot = detector.open()
    first, _ = (
        detector.step([DetectorInput(slot, streams[3][:6])]),
        detector.step([DetectorInput(slot, NO_HOPS)]),
    )
    (rest,) = detector.step([DetectorInput(slot, streams[3][6:])])
    assert_same(np.concatenate([*first, rest]), expected[3])
    detector.close(slot)


def test_a_memory_of_another_shape_is_refused(detector: Detector) -> None:
    slot = detector.open()
    with pytest.raises(ValueError, match="320 numbers"):
        detector.step([DetectorInput(slot, NO_HOPS, np.zeros(3, np.float32))])
    detector.close(slot)
