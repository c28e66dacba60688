"""Recoverer: takes up the sessions that another server left behind, by their journals."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from pathlib import Path

from server.disk import Disk
from server.errors import ClientError
from server.journal_log import Log
from stream.recovery import Recovered, recover

log = logging.getLogger(__name__)

GoOn = Callable[[str, Recovered, Log], Awaitable[None]]


class Recoverer:
    """go_on: runs a session to its end; all_found: called once all can be found by their clients
    seconds: since their last write, after which journals expire; over_seconds: of sessions that were over
    """

    def __init__(
        self,
        disk: Disk,
        go_on: GoOn,
        seconds: float,
        all_found: Callable[[], None],
        over_seconds: float = inf,
    ) -> None:
        self._disk = disk
        self._go_on = go_on
        self._seconds = seconds
        self._all_found = all_found
        self._over_seconds = over_seconds

    async def run(self, ready: Awaitable[None]) -> None:
        """Once the models are ready; until the last of the sessions is over, or it is cancelled.

        Until all are found nobody is told that his session is unknown.
        """
        await ready
        found = await asyncio.to_thread(self._disk.found, self._seconds)
        async with asyncio.TaskGroup() as sessions:
            for name, files in found.items():
                past = await asyncio.to_thread(_read, name, files)
                if past is not None:
                    sessions.create_task(self._carry(name, past, files), name=name)
            await asyncio.sleep(0)  # each begins
            self._all_found()
            log.info("%d sessions of the server before go on", len(found))

    async def _carry(self, name: str, past: Recovered, files: Sequence[Path]) -> None:
        """One that fails is left for the next server; the others go on."""
        journal = self._disk.open(name)
        try:
            age = time.time() - files[-1].stat().st_mtime
            journal.adopt(files, past.intact)
            if past.is_over and age > self._over_seconds:
                journal.delete()
                return
            await self._go_on(name, past, journal)
        except OSError as error:
            log.error("the journal of %s cannot be gone on with: %s", name, error)
        except ClientError as error:
            log.error("the session %s cannot go on here: %s", name, error.message)
        except (KeyError, TypeError, ValueError):
            log.exception("the journal of %s was written by another kind of server", name)


def _read(name: str, files: Sequence[Path]) -> Recovered | None:
    try:
        past, why = recover([path.read_bytes() for path in files]), "it has no beginning"
    except OSError as error:
        past, why = None, str(error)
    if past is None:
        log.error("the journal of %s cannot be read; its files stay until they expire: %s", name, why)
    return past
