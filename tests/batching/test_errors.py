"""Test which errors of a model require a new process."""

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
def test_device_errors_differ_from_bad_batches(text: str, breaks: bool) -> None:
    assert breaks_its_process(RuntimeError(text)) is breaks
