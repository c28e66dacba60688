"""Log: one session's journal, as the event loop sees it, and its part of what the disk's thread does."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from journal.fsync import FsyncRequest
from journal.records import AudioRecord, Record, SnapshotRecord, merge_audio
from journal.segment_files import SegmentFiles

log = logging.getLogger(__name__)

STALL_SECONDS: Final = 10.0  # that a client waits for the disk

Work = Callable[[], None]


class WriterThread(Protocol):
    """The thread that writes the journals of all sessions."""

    def do(self, work: Work, done: Work | None = None) -> None:
        """Run `work` in the thread, in order; then run `done` on the event loop. From any thread."""
        ...

    def resize(self, by: int) -> None:
        """Count a change in the size of all journals, in bytes. From any thread."""
        ...

    def notice(self, why: str) -> None:
        """Report that journals cannot be written at present. From any thread."""
        ...

    def touch(self, written: "SessionJournal") -> None:
        """Remember a journal that must be flushed. In the thread only."""
        ...


class SessionJournal:
    """What is appended is written in order, once it is handed over.

    unwritten: bytes of sound that wait
    lost: it could not be written, and is gone: one with a gap is worth nothing, and its room may save another
    """

    def __init__(self, disk: WriterThread, files: SegmentFiles, name: str) -> None:
        self.name = name
        self.unwritten = 0
        self.lost = False
        self._closed = False
        self._beginning = 0  # files
        self._pending: list[Record] = []
        self._pending_bytes = 0  # of sound
        self._disk = disk
        self._files = files

    @property
    def size(self) -> int:
        """Bytes of the newest file, as far as it is written; 0 while it is about to be begun."""
        return 0 if self._beginning else self._files.newest

    def adopt(self, files: Sequence[Path], intact: int) -> None:
        """Goes on with files that are there. Raises OSError."""
        self._disk.resize(intact - files[-1].stat().st_size)  # the torn tail goes
        self._files.adopt(files, intact)

    def append(self, entry: Record) -> None:
        """Opened begins a new file. What comes behind the end is not kept."""
        if self._closed:
            return
        if isinstance(entry, AudioRecord):
            self.unwritten += entry.samples.nbytes
            self._pending_bytes += entry.samples.nbytes
        elif isinstance(entry, SnapshotRecord):
            self._beginning += 1
        self._pending.append(entry)

    def hand_over(self) -> None:
        """What was appended is the thread's from now on, which writes it at once."""
        entries, self._pending = self._pending, []
        size, self._pending_bytes = self._pending_bytes, 0
        if entries:
            files = sum(isinstance(entry, SnapshotRecord) for entry in entries)
            self._disk.do(partial(self._write, entries), partial(self._wrote, size, files))

    async def safe(self) -> None:
        """Waits until all that was appended is written, and synced where that is asked for.

        Of a disk that does not answer in STALL_SECONDS the journal is lost.
        """
        written = asyncio.Event()
        self.hand_over()
        self._disk.do(lambda: None, written.set)
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await written.wait()
        except TimeoutError:
            self.lost = True
            self._disk.notice(f"it has not answered for {STALL_SECONDS:.0f} s")

    def close(self) -> None:
        """Nothing more is appended; the files stay."""
        self._closed = True
        self.hand_over()
        self._disk.do(self._close)

    def delete(self) -> None:
        """Nothing more is appended, and nothing is to stay."""
        self.lost = self._closed = True
        self._disk.do(self._guarded(self._files.delete))

    def _wrote(self, size: int, files: int) -> None:
        """Bytes of sound, and files that were begun."""
        self.unwritten -= size
        self._beginning -= files

    # in the thread

    def _write(self, entries: Sequence[Record]) -> None:
        if not self.lost:
            self._guarded(lambda: self._write_all(entries))()
            self._disk.touch(self)

    def _write_all(self, entries: Sequence[Record]) -> None:
        for entry in merge_audio(entries):
            self._files.write(entry)

    def _close(self) -> None:
        self._guarded(self._files.close)()
        self._disk.touch(self)

    def flush(self, sync: bool) -> None:
        self._guarded(lambda: self._files.flush(sync))()

    def unsynced(self) -> FsyncRequest | None:
        """For the syncer; None where there is nothing of it. What was touched is flushed already."""
        if self.lost:
            return None
        waits = partial(self._synced, self._files.number) if self._files.has_older else None
        return FsyncRequest(waits, self._failed)

    def _synced(self, number: int) -> None:
        self._disk.do(self._guarded(lambda: self._files.synced(number)))

    def _failed(self, error: OSError) -> None:
        self._disk.do(lambda: self._lose(error))

    def _guarded(self, work: Work) -> Work:
        def guarded() -> None:
            before = self._files.size
            try:
                work()
            except OSError as error:
                self._lose(error)
            self._disk.resize(self._files.size - before)

        return guarded

    def _lose(self, error: OSError) -> None:
        log.error("the journal of %s is lost: %s", self.name, error)
        self._disk.notice(str(error))
        self.lost = True
        try:
            self._files.delete()
        except OSError as worse:
            log.error("%s: %s", self.name, worse)
