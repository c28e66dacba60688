"""Define the errors between callers and a model that they share."""

from typing import ClassVar, Final

# Texts by which torch reports a failed device; after such an error all later calls fail as well.
DEVICE_ERRORS: Final = ("CUDA error", "cuDNN error")
OUT_OF_MEMORY: Final = "out of memory"


class BatchingError(Exception):
    """Base class of all errors of this package."""


class QueueFull(BatchingError):
    """The queue is full and the item was not accepted: the caller waits, replaces the item or refuses it."""


class ModelDied(BatchingError):
    """The model's process ended, or its device failed, while it ran a batch.

    tries: number of batches of one item that may end this way before the item is taken to be the cause
    """

    tries: ClassVar[int] = 3


class DeadlineExceeded(ModelDied):
    """The model did not answer in time; its process, where it has one, was killed.

    All other items wait meanwhile, so an item has fewer tries than after a crash.
    """

    tries: ClassVar[int] = 2


class ModelBroken(BatchingError):
    """The model failed for good and cannot be loaded again in this process."""


class BatcherClosed(BatchingError):
    """The batcher was closed before it ran the item."""


def breaks_its_process(error: Exception) -> bool:
    """Return whether the process in which a model raised this error cannot be used any more.

    An error on a CUDA device corrupts its context for good (CUDA Runtime API, cudaError_t: "the process must
    be terminated and relaunched"). Running out of memory does not: a smaller batch may succeed.
    """
    text = str(error)
    return any(sign in text for sign in DEVICE_ERRORS) and OUT_OF_MEMORY not in text
