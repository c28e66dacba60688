"""What can go wrong between a caller and a model that many share."""

from typing import ClassVar, Final

# torch says so of what went wrong on the device; a failed call there leaves all later ones to fail as well.
OF_THE_DEVICE: Final = ("CUDA error", "cuDNN error")
OF_MEMORY: Final = "out of memory"


class BatchingError(Exception):
    """Root of everything this package raises."""


class QueueFull(BatchingError):
    """No place is left in the queue; nothing was taken in. The caller waits, replaces or refuses."""


class ModelDied(BatchingError):
    """The model ended in the middle of a batch.

    tries: how many batches of an item may end so before the item is held to be the cause
    """

    tries: ClassVar[int] = 3


class DeadlineExceeded(ModelDied):
    """The model did not answer in time; its process, where it has one, was killed. Others wait meanwhile, so
    that an item has fewer tries."""

    tries: ClassVar[int] = 2


class ModelBroken(BatchingError):
    """The model is of no more use, and cannot be had again in this process."""


class BatcherClosed(BatchingError):
    """The batcher was closed before this item's turn came."""


def breaks_its_process(error: Exception) -> bool:
    """Whether nothing of the kind works any more in the process in which a model raised it.

    An error on a CUDA device corrupts its context, for good (CUDA Runtime API, cudaError_t: "the process must
    be terminated and relaunched"). A device without memory is none: a smaller batch may do.
    """
    text = str(error)
    return any(sign in text for sign in OF_THE_DEVICE) and OF_MEMORY not in text
