"""Write the journals of a server, in a folder, by a thread of its own.

The event loop never waits for the disk, and one sync covers all journals that were written together.
"""

import asyncio
import fcntl
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from engine.health import Health
from journal.fsync import FsyncPolicy, FsyncThread
from journal.segment_files import SUFFIX, SegmentFiles, name_of, number_of
from journal.session_journal import STALL_SECONDS, SessionJournal, Work

log = logging.getLogger(__name__)

SYNC_SECONDS: Final = 1.0
PROBE_SECONDS: Final = 5.0
PROBE_BYTES: Final = 1 << 20
PROBLEM: Final = "journal"  # its name in Health


class JournalInUse(RuntimeError):
    """Report that another server keeps its journals in this folder."""


class JournalStore:
    """Hold the journals of a server; the thread runs while the context manager is entered.

    folder: used by one server at a time; created if it is missing
    max_bytes: bytes of all journals at which no new ones are accepted
    keep: bytes of older files to keep for each session
    health: receives a report when journals cannot be written; the journals being written are lost then

    Entering raises JournalInUse, OSError.
    """

    def __init__(
        self,
        folder: Path,
        health: Health,
        *,
        sync: FsyncPolicy = FsyncPolicy.NEVER,
        max_bytes: int = 1 << 40,
        keep: int = 0,
    ) -> None:
        self.folder = folder
        self.size = 0  # bytes of all journals
        self._sizing = threading.Lock()
        self._health = health
        self._sync = sync
        self._max_bytes = max_bytes
        self._keep = keep
        self._queue: deque[tuple[Work, Work | None]] = deque()  # bounded by JournalRecorder.has_capacity
        self._dirty: set[SessionJournal] = set()  # with data that is not flushed yet
        self._unsynced: set[SessionJournal] = set()
        self._synced_at = 0.0
        self._syncer = FsyncThread(folder)
        self._failing = False
        self._wake = threading.Event()
        self._stopping = False

    @property
    def accepts_new(self) -> bool:
        """Return whether new journals can be begun."""
        return self.size < self._max_bytes and not self._failing

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise JournalInUse(f"another server keeps its journals in {self.folder}") from None
        self._leftover = list(self.folder.glob(f"*.*{SUFFIX}"))  # of an earlier server
        self.size = sum(path.stat().st_size for path in self._leftover)
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        self._wake.set()
        self._thread.join(
            STALL_SECONDS
        )  # bounded, so that a hanging disk does not keep the server from stopping
        os.close(self._lock)

    def open(self, name: str) -> SessionJournal:
        """Return the journal of a session; its first record begins a file."""
        files = SegmentFiles(self.folder, name, sync=self._sync, keep=self._keep)
        return SessionJournal(self, files, name)

    def find_sessions(self, seconds: float) -> dict[str, list[Path]]:
        """Return the files of each session of an earlier server, oldest file first. Blocks.

        The sessions that were written last come first: their clients are the most likely to return.
        seconds: time since the last write after which a session's files are deleted instead
        """
        sessions: dict[str, list[Path]] = {}
        for path in self._leftover:
            if path.name.removesuffix(SUFFIX).rpartition(".")[2].isdecimal():
                sessions.setdefault(name_of(path), []).append(path)
        for name, files in list(sessions.items()):
            files.sort(key=number_of)
            if time.time() - max(path.stat().st_mtime for path in files) > seconds:
                log.info("journal.expired session=%s", name)
                del sessions[name]
                self._delete(files)
        return dict(sorted(sessions.items(), key=lambda item: -item[1][-1].stat().st_mtime))

    def delete(self, files: Sequence[Path]) -> None:
        """Delete files that were found and not opened since. From any thread."""
        self.do(partial(self._delete, files))

    def _delete(self, files: Sequence[Path]) -> None:
        for path in files:
            try:
                size = path.stat().st_size
                path.unlink()
            except OSError as error:
                log.error("journal.delete_failed file=%s error=%s", path, error)
            else:
                self.resize(-size)

    def do(self, work: Work, done: Work | None = None) -> None:
        """Run `work` in the thread, in order; then run `done` on the event loop. From any thread."""
        self._queue.append((work, done))
        self._wake.set()

    def resize(self, by: int) -> None:
        """Count a change in the size of all journals, in bytes. From any thread."""
        with self._sizing:
            self.size += by

    def report(self, why: str) -> None:
        """Report that journals cannot be written at present. From any thread."""
        self._failing = True
        self._health.report(PROBLEM, why)

    # The methods below run in the thread.

    def mark_dirty(self, written: SessionJournal) -> None:
        """Remember a journal that must be flushed."""
        self._dirty.add(written)

    def _run(self) -> None:
        while not (self._stopping and not self._queue):
            self._wake.wait(self._wait_seconds())
            self._wake.clear()
            self._do_all()
            if self._failing and not self._stopping:
                self._probe()
        self._sync_round()
        self._syncer.stop()

    def _wait_seconds(self) -> float | None:
        if self._failing:
            return PROBE_SECONDS
        return SYNC_SECONDS if self._unsynced else None

    def _do_all(self) -> None:
        done: list[Work] = []
        while self._queue:
            work, then = self._queue.popleft()
            work()
            if then is not None:
                done.append(then)
        if self._sync is FsyncPolicy.SECOND:
            self._unsynced |= self._dirty
        self._flush()
        if self._sync is FsyncPolicy.SECOND:
            self._sync_every_second()
        if done and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_call_all, done)

    def _flush(self) -> None:
        for each in self._dirty:
            each.flush_files(sync=self._sync is FsyncPolicy.ALWAYS)
        self._dirty.clear()

    def _sync_every_second(self) -> None:
        now = time.monotonic()
        if self._unsynced and now - self._synced_at >= SYNC_SECONDS and not self._syncer.is_busy:
            self._synced_at = now
            self._sync_round()

    def _sync_round(self) -> None:
        written = [each.unsynced() for each in self._unsynced]
        self._unsynced.clear()
        self._syncer.sync([each for each in written if each is not None])

    def _probe(self) -> None:
        """Resolve the problem if the disk can be written again."""
        path = self.folder / "probe"
        problem: OSError | None = None
        try:
            with path.open("wb") as file:
                file.write(bytes(PROBE_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            problem = error
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.error("journal.delete_failed file=%s error=%s", path, error)
        if problem is not None:
            self._health.report(PROBLEM, str(problem))
        else:
            self._failing = False
            self._health.resolve(PROBLEM)


def _call_all(done: Iterable[Work]) -> None:
    for each in done:
        each()
