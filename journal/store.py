"""Disk: the folder with the journals of a server, written by one thread of its own, in groups.

So nothing on the event loop waits for a disk, and one sync serves all that were written together.
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
TROUBLE: Final = "journal"  # its name in Health


class JournalInUse(RuntimeError):
    """Another server keeps its journals in this folder."""


class JournalStore:
    """A context manager: the thread lives within it. Raises DiskInUse, OSError.

    folder: is made where it is missing; of one server at a time
    most: bytes of all journals, above which there is no room for new ones
    keep: bytes of a session's older files
    health: hears when journals cannot be written; what was being written is lost then
    """

    def __init__(
        self,
        folder: Path,
        health: Health,
        *,
        sync: FsyncPolicy = FsyncPolicy.NEVER,
        most: int = 1 << 40,
        keep: int = 0,
    ) -> None:
        self.folder = folder
        self.size = 0  # bytes of all journals
        self._sizing = threading.Lock()
        self._health = health
        self._sync = sync
        self._most = most
        self._keep = keep
        self._todo: deque[tuple[Work, Work | None]] = deque()  # bounded: see Recording.has_room
        self._touched: set[SessionJournal] = set()  # with something that is not flushed yet
        self._unsynced: set[SessionJournal] = set()
        self._synced_at = 0.0
        self._syncer = FsyncThread(folder)
        self._in_trouble = False
        self._wake = threading.Event()
        self._stopping = False

    @property
    def has_room(self) -> bool:
        """For new journals."""
        return self.size < self._most and not self._in_trouble

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise JournalInUse(f"another server keeps its journals in {self.folder}") from None
        self._left = list(self.folder.glob(f"*.*{SUFFIX}"))  # behind, by the server before
        self.size = sum(path.stat().st_size for path in self._left)
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        self._wake.set()
        self._thread.join(STALL_SECONDS)  # a disk that hangs must not keep the server from its end
        os.close(self._lock)

    def open(self, name: str) -> SessionJournal:
        """A new session's."""
        files = SegmentFiles(self.folder, name, sync=self._sync, keep=self._keep)
        return SessionJournal(self, files, name)

    def found(self, seconds: float) -> dict[str, list[Path]]:
        """The files of each session that were left behind, oldest first; those written last come first, as
        their clients are likely to be back. Blocking.

        seconds: since the last write, after which a session's files are deleted instead
        """
        sessions: dict[str, list[Path]] = {}
        for path in self._left:
            if path.name.removesuffix(SUFFIX).rpartition(".")[2].isdecimal():
                sessions.setdefault(name_of(path), []).append(path)
        for name, files in list(sessions.items()):
            files.sort(key=number_of)
            if time.time() - max(path.stat().st_mtime for path in files) > seconds:
                log.info("the journal of %s has expired", name)
                del sessions[name]
                self._delete(files)
        return dict(sorted(sessions.items(), key=lambda found: -found[1][-1].stat().st_mtime))

    def delete(self, files: Sequence[Path]) -> None:
        """That were found, and that nobody has opened since. From any thread."""
        self.do(partial(self._delete, files))

    def _delete(self, files: Sequence[Path]) -> None:
        for path in files:
            try:
                size = path.stat().st_size
                path.unlink()
            except OSError as error:
                log.error("%s: %s", path, error)
            else:
                self.resize(-size)

    def do(self, work: Work, done: Work | None = None) -> None:
        """In the thread, in order; then `done` on the event loop. From any thread."""
        self._todo.append((work, done))
        self._wake.set()

    def resize(self, by: int) -> None:
        """The journals have so many bytes more. From any thread."""
        with self._sizing:
            self.size += by

    def notice(self, why: str) -> None:
        """Journals cannot be written at present. From any thread."""
        self._in_trouble = True
        self._health.report(TROUBLE, why)

    # in the thread

    def touch(self, written: SessionJournal) -> None:
        self._touched.add(written)

    def _run(self) -> None:
        while not (self._stopping and not self._todo):
            self._wake.wait(self._patience())
            self._wake.clear()
            self._do_all()
            if self._in_trouble and not self._stopping:
                self._probe()
        self._sync_round()
        self._syncer.stop()

    def _patience(self) -> float | None:
        if self._in_trouble:
            return PROBE_SECONDS
        return SYNC_SECONDS if self._unsynced else None

    def _do_all(self) -> None:
        done: list[Work] = []
        while self._todo:
            work, then = self._todo.popleft()
            work()
            if then is not None:
                done.append(then)
        if self._sync is FsyncPolicy.SECOND:
            self._unsynced |= self._touched
        self._flush()
        if self._sync is FsyncPolicy.SECOND:
            self._sync_by_the_second()
        if done and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_call_all, done)

    def _flush(self) -> None:
        for each in self._touched:
            each.flush(sync=self._sync is FsyncPolicy.ALWAYS)
        self._touched.clear()

    def _sync_by_the_second(self) -> None:
        now = time.monotonic()
        if self._unsynced and now - self._synced_at >= SYNC_SECONDS and not self._syncer.is_busy:
            self._synced_at = now
            self._sync_round()

    def _sync_round(self) -> None:
        written = [each.unsynced() for each in self._unsynced]
        self._unsynced.clear()
        self._syncer.sync([each for each in written if each is not None])

    def _probe(self) -> None:
        """Is there room again?"""
        path = self.folder / "probe"
        try:
            with path.open("wb") as file:
                file.write(bytes(PROBE_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self._health.report(TROUBLE, str(error))
        else:
            self._in_trouble = False
            self._health.resolve(TROUBLE)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.error("%s: %s", path, error)


def _call_all(done: Iterable[Work]) -> None:
    for each in done:
        each()
