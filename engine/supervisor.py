"""Watchdog: what one model's worker tells of it, for /ready, the metrics and those who lend it."""

from collections.abc import Callable

from engine.health import Health


class Supervisor:
    """Of one model, from before it is loaded until `leave`. A batching.worker.Watcher.

    name: under which its trouble stands in `health`; matters: the server is not ready without it
    on_restart: called for each restart; on_broken: once, with the reason, if there is nothing left to do
    """

    def __init__(
        self,
        name: str,
        health: Health,
        *,
        matters: bool = True,
        on_restart: Callable[[], None] = lambda: None,
        on_broken: Callable[[str], None] = lambda why: None,
    ) -> None:
        self.is_restarting = False
        self.error: str | None = None  # why it is of no more use
        self._name = name
        self._health = health
        self._matters = matters
        self._on_restart = on_restart
        self._on_broken = on_broken

    def restarting(self, why: str) -> None:
        self.is_restarting = True
        self._on_restart()
        self._health.notice(self._name, f"is being started again: {why}", matters=self._matters)

    def restarted(self) -> None:
        self.is_restarting = False
        self._health.clear(self._name)

    def broken(self, why: str) -> None:
        self.is_restarting = False
        self.error = why
        self._health.notice(self._name, f"is broken: {why}", matters=self._matters)
        self._on_broken(why)

    def leave(self) -> None:
        """The model is not used any more, nor is its trouble one."""
        if self.is_restarting or self.error is not None:
            self._health.clear(self._name)
