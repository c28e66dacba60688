"""Keep the journal of one session: appended to on the event loop, written in the thread of the store."""

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

STALL_SECONDS: Final = 10.0  # for which a session waits for the disk

Work = Callable[[], None]


class WriterThread(Protocol):
    """Describe the thread that writes the journals of all sessions."""

    def do(self, work: Work, done: Work | None = None) -> None:
        """Run `work` in the thread, in order; then run `done` on the event loop. From any thread."""
        ...

    def resize(self, by: int) -> None:
        """Count a change in the size of all journals, in bytes. From any thread."""
        ...

    def report(self, why: str) -> None:
        """Report that journals cannot be written at present. From any thread."""
        ...

    def mark_dirty(self, written: "SessionJournal") -> None:
        """Remember a journal that must be flushed. In the thread only."""
        ...


class SessionJournal:
    """Write the appended records in order, once they are submitted.

    unwritten: bytes of audio that are not written yet
    lost: a write failed and the files were deleted. A journal with gaps cannot be replayed; deleting it frees
        space.
    """

    def __init__(self, disk: WriterThread, files: SegmentFiles, name: str) -> None:
        self.name = name
        self.unwritten = 0
        self.lost = False
        self._closed = False
        self._beginning = 0  # files that are not begun yet
        self._pending: list[Record] = []
        self._pending_bytes = 0  # of audio
        self._disk = disk
        self._files = files

    @property
    def size(self) -> int:
        """Return the bytes written to the newest file; 0 while a new one is about to begin."""
        return 0 if self._beginning else self._files.newest

    def adopt(self, files: Sequence[Path], intact: int) -> None:
        """Continue existing files, of whose newest the first `intact` bytes are undamaged. Raises OSError."""
        self._disk.resize(intact - files[-1].stat().st_size)  # without the torn tail
        self._files.adopt(files, intact)

    def append(self, entry: Record) -> None:
        """Append a record; ignore it after close or delete. A SnapshotRecord begins a new file."""
        if self._closed:
            return
        if isinstance(entry, AudioRecord):
            self.unwritten += entry.samples.nbytes
            self._pending_bytes += entry.samples.nbytes
        elif isinstance(entry, SnapshotRecord):
            self._beginning += 1
        self._pending.append(entry)

    def submit(self) -> None:
        """Pass the appended records to the thread, which writes them at once."""
        entries, self._pending = self._pending, []
        size, self._pending_bytes = self._pending_bytes, 0
        if entries:
            files = sum(isinstance(entry, SnapshotRecord) for entry in entries)
            self._disk.do(partial(self._write, entries), partial(self._wrote, size, files))

    async def flush(self) -> None:
        """Wait until all appended records are written, and synced if the policy is ALWAYS.

        If the disk does not answer within STALL_SECONDS, the journal is lost.
        """
        written = asyncio.Event()
        self.submit()
        self._disk.do(lambda: None, written.set)
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await written.wait()
        except TimeoutError:
            self.lost = True
            self._disk.report(f"The disk has not answered for {STALL_SECONDS:.0f} s.")

    def close(self) -> None:
        """Write what was appended and end the journal; the files stay."""
        self._closed = True
        self.submit()
        self._disk.do(self._close)

    def delete(self) -> None:
        """End the journal and delete its files."""
        self.lost = self._closed = True
        self._disk.do(self._guarded(self._files.delete))

    def _wrote(self, size: int, files: int) -> None:
        """Count bytes of audio as written, and files as begun."""
        self.unwritten -= size
        self._beginning -= files

    # The methods below run in the thread.

    def _write(self, entries: Sequence[Record]) -> None:
        if not self.lost:
            self._guarded(lambda: self._write_all(entries))()
            self._disk.mark_dirty(self)

    def _write_all(self, entries: Sequence[Record]) -> None:
        for entry in merge_audio(entries):
            self._files.write(entry)

    def _close(self) -> None:
        self._guarded(self._files.close)()
        self._disk.mark_dirty(self)

    def flush_files(self, sync: bool) -> None:
        """Write the records to the files; with `sync`, also force them onto the medium."""
        self._guarded(lambda: self._files.flush(sync))()

    def unsynced(self) -> FsyncRequest | None:
        """Return the request to sync the journal, which is flushed already; None if the journal is lost."""
        if self.lost:
            return None
        synced = partial(self._synced, self._files.number) if self._files.has_older else None
        return FsyncRequest(synced, self._failed)

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
        log.error("journal.lost session=%s error=%s", self.name, error)
        self._disk.report(str(error))
        self.lost = True
        try:
            self._files.delete()
        except OSError as worse:
            log.error("journal.delete_failed session=%s error=%s", self.name, worse)
