"""Past: what another server told of a session that goes on here, and is not to be told again."""

from collections import Counter
from collections.abc import Mapping


class Past:
    """told: how many events of each kind; of a kind they come in the same order again"""

    def __init__(self, told: Mapping[str, int] | None = None) -> None:
        self._left = Counter(told or {})

    @property
    def is_over(self) -> bool:
        """Nothing of it is left to come: what comes now is new, and not older than what was told last."""
        return not self._left.total()

    def knows(self, kind: str) -> bool:
        """Whether the next event of the kind was told; it counts as met then."""
        if not self._left[kind]:
            return False
        self._left[kind] -= 1
        return True
