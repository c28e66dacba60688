"""Journals: sessions that survive the server, for as long as the application lives."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from server.disk import Disk
from server.engine import Engine
from server.native import NativeDoor
from server.recoverer import Recoverer
from server.settings import Settings

log = logging.getLogger(__name__)

MIB = 1 << 20


@asynccontextmanager
async def kept_in_journals(settings: Settings, engine: Engine, door: NativeDoor) -> AsyncIterator[None]:
    """Within it the door's sessions are kept on disk where the settings say so, and those that the server
    before left behind go on. Raises DiskInUse, OSError."""
    if not settings.journal_dir:
        yield
        return
    disk = Disk(
        Path(settings.journal_dir),
        engine.health,
        sync=settings.journal_fsync,
        most=settings.journal_total_mb * MIB,
        keep=settings.journal_session_mb * MIB,
    )
    with disk:
        door.disk, door.all_found = disk, False

        def all_found() -> None:
            door.all_found = True

        recoverer = Recoverer(
            disk, door, settings.journal_seconds, all_found, over_seconds=settings.resume_seconds
        )
        recovery = asyncio.create_task(recoverer.run(engine.loaded()), name="recovery")
        recovery.add_done_callback(_say)
        try:
            yield
        finally:
            recovery.cancel()
            await asyncio.wait([recovery])


def _say(recovery: asyncio.Task[None]) -> None:
    if not recovery.cancelled() and recovery.exception() is not None:
        log.error("sessions of the server before were not taken up", exc_info=recovery.exception())
