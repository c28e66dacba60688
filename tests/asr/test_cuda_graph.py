"""Captured steps, and what happens where a step cannot be captured."""

import pytest
import torch

from asr.cuda_graph import GraphCapture, Step, cuda_capture
from tests.asr.gpu import needs_gpu


def step() -> None:
    """Do nothing."""


def test_a_step_is_replaced_by_its_capture() -> None:
    def replay() -> None:
        """Do nothing, too."""

    assert GraphCapture(lambda _: replay).of(step) is replay


def test_steps_run_as_they_are_after_one_failure(caplog: pytest.LogCaptureFixture) -> None:
    tried: list[Step] = []

    def fail(step: Step) -> Step:
        tried.append(step)
        raise RuntimeError("operation not permitted when stream is capturing")

    graphs = GraphCapture(fail)
    assert [graphs.of(step), graphs.of(step)] == [step, step]
    assert tried == [step]
    assert [record.getMessage() for record in caplog.records] == [
        "cuda_graph.not_captured: steps run without a graph: operation not permitted when stream is capturing"
    ]


@needs_gpu
def test_a_captured_step_repeats_on_a_gpu() -> None:
    count = torch.zeros(3, device="cuda")
    replay = cuda_capture("cuda")(lambda: count.add_(1))
    count.zero_()
    replay()
    replay()
    assert count.tolist() == [2, 2, 2]


@needs_gpu
def test_a_step_that_waits_for_the_gpu_cannot_be_captured() -> None:
    count = torch.zeros(3, device="cuda")
    with pytest.raises(RuntimeError):
        cuda_capture("cuda")(lambda: count.add_(float(count.sum())))
    assert count.add(1).tolist() == [1, 1, 1], "the device works on"
