"""Pass the state of a model's worker on to the health report, the metrics and the model pool."""

from collections.abc import Callable

from engine.health import Health
from engine.load_progress import LoadProgress


class Supervisor:
    """Observe the worker of one model, from before it is loaded until `close`.

    It implements batching.worker.WorkerObserver.
    progress: of the model's download
    name: name of the model's problem in `health`
    critical: whether the server is not ready without the model
    on_restart: called for each restart
    on_broken: called once with the reason when the worker cannot be restarted any more
    """

    def __init__(
        self,
        name: str,
        health: Health,
        *,
        critical: bool = True,
        on_restart: Callable[[], None] = lambda: None,
        on_broken: Callable[[str], None] = lambda why: None,
    ) -> None:
        self.progress = LoadProgress()
        self.is_restarting = False
        self.error: str | None = None  # Why the model is broken; None if it is not.
        self._name = name
        self._health = health
        self._critical = critical
        self._on_restart = on_restart
        self._on_broken = on_broken

    def restarting(self, why: str) -> None:
        """Report that the worker is being restarted."""
        self.is_restarting = True
        self._on_restart()
        self._health.report(self._name, f"is being started again: {why}", critical=self._critical)

    def restarted(self) -> None:
        """Resolve the problem of a restart that succeeded."""
        self.is_restarting = False
        self._health.resolve(self._name)

    def broken(self, why: str) -> None:
        """Report that the worker cannot be restarted any more."""
        self.is_restarting = False
        self.error = why
        self._health.report(self._name, f"is broken: {why}", critical=self._critical)
        self._on_broken(why)

    def close(self) -> None:
        """Resolve the model's problem, because the model is not used any more."""
        if self.is_restarting or self.error is not None:
            self._health.resolve(self._name)
