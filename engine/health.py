"""Health: what is wrong with the server, by name, for as long as it lasts."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """why: for whoever runs the server; matters: the server is not ready while it lasts"""

    why: str
    matters: bool


class Health:
    """Anyone may notice a trouble and clear it again, from any thread. There are as many as there are names,
    which the code gives: a handful."""

    def __init__(self) -> None:
        self._troubles: dict[str, Problem] = {}

    @property
    def ok(self) -> bool:
        """Nothing that matters is wrong."""
        return not any(trouble.matters for trouble in self.troubles.values())

    @property
    def troubles(self) -> Mapping[str, Problem]:
        """By name, the oldest first."""
        return dict(self._troubles)

    def notice(self, name: str, why: str, *, matters: bool = True) -> None:
        """It begins, or goes on for another reason. Each is logged once."""
        trouble = Problem(why, matters)
        if self._troubles.get(name) != trouble:
            self._troubles[name] = trouble
            log.error("trouble with the %s: %s", name, why)

    def clear(self, name: str) -> None:
        """It is over. Idempotent."""
        if self._troubles.pop(name, None) is not None:
            log.info("the trouble with the %s is over", name)
