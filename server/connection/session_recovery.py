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

    async def continue_session(self, name: str, recovered: ReplayedSession, log: SessionJournal) -> None:
        """Continue a session and return when it ends. Raises ClientError."""
        ...

    def keep_ended(
        self, name: str, head: Mapping[str, Any], files: Sequence[Path], disk: JournalStore
    ) -> None:
        """Keep a session that was over: its client may still request the messages that were sent."""
        ...


@dataclass(frozen=True, slots=True)
class _UnfinishedJournal:
    """Hold a session that an earlier server left before its end."""

    name: str
    files: Sequence[Path]
    recovered: ReplayedSession


@dataclass(frozen=True, slots=True)
class _EndedJournal:
    """Hold a session whose messages had all been sent."""

    name: str
    files: Sequence[Path]
    head: Mapping[str, Any]


class SessionRecovery:
    """Continue every session that an earlier server left, and keep those that were over.

    handler: continues or keeps each session
    seconds: time since the last write of a journal after which it expires
    on_all_found: called once clients can find all sessions
    ended_seconds: time since the last write after which the journal of a session that was over is deleted
    """

    def __init__(
        self,
        disk: JournalStore,
        handler: RecoveryHandler,
        seconds: float,
        on_all_found: Callable[[], None],
        ended_seconds: float = inf,
    ) -> None:
        self._disk = disk
        self._handler = handler
        self._seconds = seconds
        self._on_all_found = on_all_found
        self._ended_seconds = ended_seconds

    async def run(self, ready: Awaitable[None]) -> None:
        """Recover the sessions once the models are ready; return when the last of them is over.

        Until all sessions are found, no client may learn that its session is unknown.
        ready: awaited before the recovery begins
        """
        await ready
        found = await asyncio.to_thread(self._disk.find_sessions, self._seconds)
        waiting, ended, count = iter(found.items()), list[_EndedJournal](), 0
        async with asyncio.TaskGroup() as sessions:
            while (unfinished := await asyncio.to_thread(self._next_unfinished, waiting, ended)) is not None:
                sessions.create_task(self._continue(unfinished), name=unfinished.name)
                count += 1
            for each in reversed(ended):  # if there are too many, the sessions that ended first are forgotten
                self._keep_ended(each)
            await asyncio.sleep(0)  # lets each session begin
            self._on_all_found()
            log.info("recovery.finished continued=%d ended=%d", count, len(ended))

    def _next_unfinished(
        self, waiting: Iterator[tuple[str, Sequence[Path]]], ended: list[_EndedJournal]
    ) -> _UnfinishedJournal | None:
        """Return the next session to continue, None after the last; add to `ended` those that were over.

        Blocks, and therefore runs in a thread once for each session that continues: while sessions are being
        replayed, waiting for the event loop after each session that was over would take long.
        """
        for name, files in waiting:
            recovered = _read(name, files)
            if recovered is not None and not recovered.is_over:
                return _UnfinishedJournal(name, files, recovered)
            if recovered is not None:
                ended.append(_EndedJournal(name, files, recovered.head))
        return None

    def _keep_ended(self, ended: _EndedJournal) -> None:
        with _log_errors(ended.name):
            if time.time() - ended.files[-1].stat().st_mtime > self._ended_seconds:
                self._disk.delete(ended.files)
                return
            self._handler.keep_ended(ended.name, ended.head, ended.files, self._disk)

    async def _continue(self, unfinished: _UnfinishedJournal) -> None:
        """Continue a session; if that fails it is left for the next server, and the others continue."""
        if unfinished.recovered.failed_takeovers >= MAX_FAILED_TAKEOVERS:
            log.error(
                "recovery.given_up session=%s takeovers=%d",
                unfinished.name,
                unfinished.recovered.failed_takeovers,
            )
            return
        journal = self._disk.open(unfinished.name)
        with _log_errors(unfinished.name):
            journal.adopt(unfinished.files, unfinished.recovered.intact)
            journal.append(TakeoverRecord())
            journal.submit()  # before the replay, because the replay may be what ended the previous server
            await self._handler.continue_session(unfinished.name, unfinished.recovered, journal)


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
        recovered, why = replay_journal([path.read_bytes() for path in files]), "it has no beginning"
    except OSError as error:
        recovered, why = None, str(error)
    if recovered is None:
        log.error("journal.unreadable session=%s reason=%r", name, why)
    return recovered


class ReplayFilter:
    """Recognize the events of a replay that an earlier server has sent already.

    sent: number of sent events of each kind; a replay gives the events of one kind in the same order again
    """

    def __init__(self, sent: Mapping[str, int] | None = None) -> None:
        self._remaining = Counter(sent or {})

    @property
    def is_over(self) -> bool:
        """Whether the replay has given all sent events again, so that every further event is new."""
        return not self._remaining.total()

    def consume(self, kind: str) -> bool:
        """Return whether the next event of this kind was sent already, and count it as replayed if so."""
        if not self._remaining[kind]:
            return False
        self._remaining[kind] -= 1
        return True
