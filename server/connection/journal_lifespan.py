"""Keep sessions in journals, so that they survive the server, for as long as the application runs."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from engine.health import Health
from journal.store import JournalStore
from server.connection.session_recovery import RecoveryHandler, SessionRecovery
from server.settings import Settings

log = logging.getLogger(__name__)

MIB: Final = 1 << 20


class JournalLifespan:
    """Hold the store of the journals, and whether sessions of the previous server can be resumed yet.

    store: None while nothing is journalled: outside `running`, or where the settings name no folder
    recovered: False until every session of the previous server can be found by its client
    health: receives a report when journals cannot be written
    """

    def __init__(self, settings: Settings, health: Health) -> None:
        self.store: JournalStore | None = None
        self.recovered = not settings.journal_dir
        self._settings = settings
        self._health = health

    @asynccontextmanager
    async def running(
        self, handler: RecoveryHandler, ready: Callable[[], Awaitable[None]]
    ) -> AsyncIterator[None]:
        """Open the store and hand the sessions of the previous server to `handler`, if journals are on.

        ready: waits until models are loaded; recovery begins after it
        Raises JournalInUse, OSError.
        """
        settings = self._settings
        if not settings.journal_dir:
            yield
            return
        with JournalStore(
            Path(settings.journal_dir),
            self._health,
            sync=settings.journal_fsync,
            max_bytes=settings.journal_total_mb * MIB,
            keep=settings.journal_session_mb * MIB,
        ) as self.store:
            recoverer = SessionRecovery(
                self.store,
                handler,
                settings.journal_seconds,
                self._all_recovered,
                ended_seconds=settings.resume_seconds,
            )
            recovery = asyncio.create_task(recoverer.run(ready()), name="recovery")
            recovery.add_done_callback(_log_failure)
            try:
                yield
            finally:
                recovery.cancel()
                await asyncio.wait([recovery])

    def _all_recovered(self) -> None:
        self.recovered = True


def _log_failure(recovery: asyncio.Task[None]) -> None:
    if not recovery.cancelled() and recovery.exception() is not None:
        log.error("recovery.aborted", exc_info=recovery.exception())
