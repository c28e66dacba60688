"""Find where a sequence repeats itself."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def longest_repetition(items: NDArray[Any], period: int) -> tuple[int, int]:
    """Return start and length of the longest stretch in which each item equals the one a period later.

    items: (n,) of a type that can be compared
    length: 0 if there is none; the whole repetition has length + period items. Of equal ones the first counts
    """
    flags = items[period:] == items[:-period]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return 0, 0
    longest = int(np.argmax(ends - starts))
    return int(starts[longest]), int(ends[longest] - starts[longest])
