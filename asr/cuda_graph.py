"""Replay the kernels of a step as a CUDA graph, so that a step costs one launch instead of dozens."""

import logging
from collections.abc import Callable
from typing import Final

import torch

WARM_UP_STEPS: Final = 3  # before a capture, as libraries allocate their workspaces in the first ones

Step = Callable[[], object]

log = logging.getLogger(__name__)


class GraphCapture:
    """Capture steps as CUDA graphs until one cannot be captured; from then on steps run as they are.

    A step reads and writes tensors that stay in place, and reads none of them on the host.
    """

    def __init__(self, capture: Callable[[Step], Step]) -> None:
        """Capture with a function.

        capture: returns what repeats a step, or raises RuntimeError; see `cuda_capture`
        """
        self._capture: Callable[[Step], Step] | None = capture

    def of(self, step: Step) -> Step:
        """Return what repeats the step. To capture it, the step runs a few times."""
        if self._capture is None:
            return step
        try:
            return self._capture(step)
        except RuntimeError as error:
            log.warning("cuda_graph.not_captured: steps run without a graph: %s", error)
            self._capture = None
            return step


def cuda_capture(device: str) -> Callable[[Step], Step]:
    """Return a function that captures a step on a device, cuda or cuda:N."""

    def capture(step: Step) -> Step:
        with torch.cuda.device(device):
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP_STEPS):
                    step()
                # Other threads of the process, such as the voice detector, may use the GPU meanwhile.
                with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                    step()
            torch.cuda.current_stream().wait_stream(stream)
        return graph.replay

    return capture
