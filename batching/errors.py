"""What can go wrong between a caller and a model that many share."""


class BatchingError(Exception):
    """Root of everything this package raises."""


class QueueFull(BatchingError):
    """No place is left in the queue; nothing was taken in. The caller waits, replaces or refuses."""


class ModelDied(BatchingError):
    """The model's process ended in the middle of a batch, twice."""


class Closed(BatchingError):
    """The batcher was closed before this item's turn came."""
