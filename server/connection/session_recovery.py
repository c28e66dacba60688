"""Continue the sessions that an earlier server left in its journals."""

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

MAX_FAILED_TAKEOVERS: Final = (
    10  # servers that continue a session in turn although its client does not resume it
)


class RecoveryHandler(Protocol):
    """Continue or keep the sessions of an earlier server, in the wire protocol of each.

    Both methods raise KeyError, TypeError, ValueError for a session of another kind of server.
    """

    async def go_on(self, name: str, past: ReplayedSession, log: SessionJournal) -> None:
        """Continue a session and return when it ends. Raises ClientError."""
        ...

    def hold(self, name: str, head: Mapping[str, Any], files: Sequence[Path], disk: JournalStore) -> None:
        """Keep a session that was over: its client may still request the messages that were sent."""
        ...


@dataclass(frozen=True, slots=True)
class _Left:
    """Hold a session that an earlier server left before its end."""

    name: str
    files: Sequence[Path]
    past: ReplayedSession


@dataclass(frozen=True, slots=True)
class _Over:
    """Hold a session whose messages had all been sent."""

    name: str
    files: Sequence[Path]
    head: Mapping[str, Any]


class SessionRecovery:
    """Continue every session that an earlier server left, and keep those that were over.

    takers: continues or keeps each session
    seconds: time since the last write of a journal after which it expires
    all_found: called once clients can find all sessions
    over_seconds: time since the last write after which the journal of a session that was over is deleted
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
        """Recover the sessions once the models are ready; return when the last of them is over.

        Until all sessions are found, no client may learn that its session is unknown.
        ready: awaited before the recovery begins
        """
        await ready
        found = await asyncio.to_thread(self._disk.find_sessions, self._seconds)
        waiting, over, count = iter(found.items()), list[_Over](), 0
        async with asyncio.TaskGroup() as sessions:
            while (left := await asyncio.to_thread(self._next, waiting, over)) is not None:
                sessions.create_task(self._carry(left), name=left.name)
                count += 1
            for each in reversed(over):  # if there are too many, the sessions that ended first are forgotten
                self._hold(each)
            await asyncio.sleep(0)  # lets each session begin
            self._all_found()
            log.info("recovery.finished continued=%d ended=%d", count, len(over))

    def _next(self, waiting: Iterator[tuple[str, Sequence[Path]]], over: list[_Over]) -> _Left | None:
        """Return the next session to continue, None after the last; add to `over` those that were over.

        Blocks, and therefore runs in a thread once for each session that continues: while sessions are being
        replayed, waiting for the event loop after each session that was over would take long.
        """
        for name, files in waiting:
            past = _read(name, files)
            if past is not None and not past.is_over:
                return _Left(name, files, past)
            if past is not None:
                over.append(_Over(name, files, past.head))
        return None

    def _hold(self, over: _Over) -> None:
        with _log_errors(over.name):
            if time.time() - over.files[-1].stat().st_mtime > self._over_seconds:
                self._disk.delete(over.files)
                return
            self._takers.hold(over.name, over.head, over.files, self._disk)

    async def _carry(self, left: _Left) -> None:
        """Continue a session; if that fails it is left for the next server, and the others continue."""
        if left.past.failed_takeovers >= MAX_FAILED_TAKEOVERS:
            log.error("recovery.given_up session=%s takeovers=%d", left.name, left.past.failed_takeovers)
            return
        journal = self._disk.open(left.name)
        with _log_errors(left.name):
            journal.adopt(left.files, left.past.intact)
            journal.append(TakeoverRecord())
            journal.submit()  # before the replay, because the replay may be what ended the previous server
            await self._takers.go_on(left.name, left.past, journal)


@contextmanager
def _log_errors(name: str) -> Iterator[None]:
    """Log an error that prevents a session from being continued."""
    try:
        yield
    except OSError as error:
        log.error("recovery.failed session=%s reason=%r", name, str(error))
    except ClientError as error:
        log.error("recovery.failed session=%s reason=%r", name, error.message)
    except (KeyError, TypeError, ValueError):
        log.exception("recovery.unknown_format session=%s", name)


def _read(name: str, files: Sequence[Path]) -> ReplayedSession | None:
    try:
        past, why = replay_journal([path.read_bytes() for path in files]), "it has no beginning"
    except OSError as error:
        past, why = None, str(error)
    if past is None:
        log.error("journal.unreadable session=%s reason=%r", name, why)
    return past


class ReplayFilter:
    """Recognize the events of a replay that an earlier server has sent already.

    sent: number of sent events of each kind; a replay gives the events of one kind in the same order again
    """

    def __init__(self, sent: Mapping[str, int] | None = None) -> None:
        self._left = Counter(sent or {})

    @property
    def is_over(self) -> bool:
        """Whether the replay has given all sent events again, so that every further event is new."""
        return not self._left.total()

    def knows(self, kind: str) -> bool:
        """Return whether the next event of this kind was sent already, and count it as replayed if so."""
        if not self._left[kind]:
            return False
        self._left[kind] -= 1
        return True
