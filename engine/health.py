"""Keep the current problems of the server by name."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """Describe a problem.

    reason: text for the operator of the server
    critical: whether the server is not ready while the problem lasts
    """

    reason: str
    critical: bool


class Health:
    """Hold the current problems; they can be reported and resolved from any thread.

    The names come from the code and the configuration, so their number is small.
    """

    def __init__(self) -> None:
        self._problems: dict[str, Problem] = {}

    @property
    def ok(self) -> bool:
        """Return whether there is no critical problem."""
        return not any(problem.critical for problem in self.problems.values())

    @property
    def problems(self) -> Mapping[str, Problem]:
        """Return a copy of the problems by name, the oldest first."""
        return dict(self._problems)

    def report(self, name: str, reason: str, *, critical: bool = True) -> None:
        """Record a problem; a new problem and a new reason are logged once."""
        problem = Problem(reason, critical)
        if self._problems.get(name) != problem:
            self._problems[name] = problem
            log.error("problem.reported name=%r: %s", name, reason)

    def resolve(self, name: str) -> None:
        """Remove a problem, if it is recorded."""
        if self._problems.pop(name, None) is not None:
            log.info("problem.resolved name=%r", name)
