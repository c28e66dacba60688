"""Recoverer: takes up the sessions that another server left behind, by their journals."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Final, Protocol

from journal.records import TakeoverRecord
from journal.replay import ReplayedSession, replay_journal
from journal.session_journal import SessionJournal
from journal.store import JournalStore
from server.errors import ClientError

log = logging.getLogger(__name__)

MOST_IN_VAIN: Final = 10  # servers that take up a session whose client does not come back


class RecoveryHandler(Protocol):
    """Both raise KeyError, TypeError, ValueError for a session of another kind of server."""

    async def go_on(self, name: str, past: ReplayedSession, log: SessionJournal) -> None:
        """To the session's end. Raises ClientError."""
        ...

    def hold(self, name: str, head: Mapping[str, Any], files: Sequence[Path], disk: JournalStore) -> None:
        """One that was over, for its client may still ask for what was told."""
        ...


@dataclass(frozen=True, slots=True)
class _Left:
    """A session that was left behind."""

    name: str
    files: Sequence[Path]
    past: ReplayedSession


@dataclass(frozen=True, slots=True)
class _Over:
    """One with nothing left to tell."""

    name: str
    files: Sequence[Path]
    head: Mapping[str, Any]


class SessionRecovery:
    """all_found: called once all can be found by their clients
    seconds: since their last write, after which journals expire; over_seconds: of sessions that were over
    """

    def __init__(
        self,
        disk: JournalStore,
        takers: RecoveryHandler,
        seconds: float,
        all_found: Callable[[], None],
        over_seconds: float = inf,
    ) -> None:
        self._disk = disk
        self._takers = takers
        self._seconds = seconds
        self._all_found = all_found
        self._over_seconds = over_seconds

    async def run(self, ready: Awaitable[None]) -> None:
        """Once the models are ready; until the last of the sessions is over, or it is cancelled.

        Until all are found nobody is told that his session is unknown.
        """
        await ready
        found = await asyncio.to_thread(self._disk.found, self._seconds)
        waiting, over, count = iter(found.items()), list[_Over](), 0
        async with asyncio.TaskGroup() as sessions:
            while (left := await asyncio.to_thread(self._next, waiting, over)) is not None:
                sessions.create_task(self._carry(left), name=left.name)
                count += 1
            for each in reversed(over):  # where there are too many, those are let go of that ended first
                self._hold(each)
            await asyncio.sleep(0)  # each begins
            self._all_found()
            log.info("%d sessions of the server before go on, %d were over", count, len(over))

    def _next(self, waiting: Iterator[tuple[str, Sequence[Path]]], over: list[_Over]) -> _Left | None:
        """That goes on; those before it which are over are told apart. Blocking: a turn of the event loop for
        each of these would be long while others are played once more."""
        for name, files in waiting:
            past = _read(name, files)
            if past is not None and not past.is_over:
                return _Left(name, files, past)
            if past is not None:
                over.append(_Over(name, files, past.head))
        return None

    def _hold(self, over: _Over) -> None:
        with _said(over.name):
            if time.time() - over.files[-1].stat().st_mtime > self._over_seconds:
                self._disk.delete(over.files)
                return
            self._takers.hold(over.name, over.head, over.files, self._disk)

    async def _carry(self, left: _Left) -> None:
        """One that fails is left for the next server; the others go on."""
        if left.past.failed_takeovers >= MOST_IN_VAIN:
            log.error(
                "%s was taken up %d times in vain; its files stay", left.name, left.past.failed_takeovers
            )
            return
        journal = self._disk.open(left.name)
        with _said(left.name):
            journal.adopt(left.files, left.past.intact)
            journal.append(TakeoverRecord())
            journal.submit()  # before it is played once more: that may be what ended the server before
            await self._takers.go_on(left.name, left.past, journal)


@contextmanager
def _said(name: str) -> Iterator[None]:
    """That a session cannot be gone on with."""
    try:
        yield
    except OSError as error:
        log.error("the journal of %s cannot be gone on with: %s", name, error)
    except ClientError as error:
        log.error("the session %s cannot go on here: %s", name, error.message)
    except (KeyError, TypeError, ValueError):
        log.exception("the journal of %s was written by another kind of server", name)


def _read(name: str, files: Sequence[Path]) -> ReplayedSession | None:
    try:
        past, why = replay_journal([path.read_bytes() for path in files]), "it has no beginning"
    except OSError as error:
        past, why = None, str(error)
    if past is None:
        log.error("the journal of %s cannot be read; its files stay until they expire: %s", name, why)
    return past


class ReplayFilter:
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
