"""What of all that a model raises leaves its process of no more use."""

import pytest

from batching.errors import breaks_its_process


@pytest.mark.parametrize(
    ("text", "breaks"),
    [
        ("CUDA error: device-side assert triggered", True),
        ("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`", True),
        ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", True),
        ("CUDA out of memory. Tried to allocate 2.00 GiB", False),
        ("CUDA error: out of memory", False),
        ("The size of tensor a (3) must match the size of tensor b (4)", False),
    ],
)
def test_a_broken_device_is_told_from_a_bad_batch(text: str, breaks: bool) -> None:
    assert breaks_its_process(RuntimeError(text)) is breaks
