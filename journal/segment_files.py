"""Write the files of one session's journal, which are named NAME.1.journal, NAME.2.journal and so on.

Each file begins with a snapshot from which the session can continue; older files hold messages that a client
may still request. All calls block and are made from one thread.
"""

import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

from journal.fsync import FsyncPolicy
from journal.records import Record, SnapshotRecord, encode_record

SUFFIX: Final = ".journal"


class SegmentFiles:
    """Write one session's files, begin new ones and delete old ones.

    sync: when data is forced onto the medium. With SECOND the caller does that and then calls `synced`,
        which deletes older files.
    keep: bytes of older files to keep
    number: number of the newest file

    Every method raises the OSError of the operating system.
    """

    def __init__(self, folder: Path, name: str, *, sync: FsyncPolicy, keep: int) -> None:
        self.size = 0  # bytes of all its files
        self.newest = 0  # bytes of the newest
        self._folder = folder
        self._name = name
        self._sync = sync
        self._keep = keep
        self.number = 0
        self._older: deque[tuple[Path, int]] = deque()
        self._file: BinaryIO | None = None
        self._frames: list[bytes] = []  # of the newest file, not written yet

    @property
    def has_older(self) -> bool:
        """Return whether older files can be deleted once the newest is on the medium."""
        return bool(self._older)

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._name}.{self.number}{SUFFIX}"

    def adopt(self, files: Sequence[Path], intact: int) -> None:
        """Continue existing files, after the first `intact` bytes of the newest."""
        *older, newest = files
        self._older.extend((path, path.stat().st_size) for path in older)
        os.truncate(newest, intact)
        self.number, self.newest = number_of(newest), intact
        self.size = intact + sum(size for _, size in self._older)
        self._file = newest.open("ab")

    def write(self, entry: Record) -> None:
        """Add a record, which the next flush writes. A SnapshotRecord begins a new file."""
        if isinstance(entry, SnapshotRecord):
            self._begin()
        assert self._file is not None, "a file begins with a snapshot"
        data = encode_record(entry)
        self._frames.append(data)
        self.newest += len(data)
        self.size += len(data)
        if isinstance(entry, SnapshotRecord):
            if self._sync is FsyncPolicy.ALWAYS:
                self._complete()
            if self._sync is not FsyncPolicy.SECOND:
                self._delete_older()

    def flush(self, sync: bool) -> None:
        """Write the added records; with `sync`, also force them onto the medium."""
        if self._file is not None:
            data = b"".join(self._frames)
            self._frames.clear()
            self._file.write(data)
            self._file.flush()
            if sync:
                os.fdatasync(self._file.fileno())

    def synced(self, number: int) -> None:
        """Report that the files up to this number, and their names, are on the medium."""
        if number == self.number:
            self._delete_older()

    def _complete(self) -> None:
        """Bring the newest file onto disk completely, with its name."""
        self.flush(self._sync is FsyncPolicy.ALWAYS)
        if self._sync is FsyncPolicy.ALWAYS:
            sync_folder(self._folder)

    def close(self) -> None:
        """Write what was added and close the newest file."""
        if self._file is not None:
            try:
                self.flush(self._sync is FsyncPolicy.ALWAYS)
            finally:
                file, self._file = self._file, None
                file.close()

    def delete(self) -> None:
        """Delete all files of the session. Idempotent."""
        try:
            if self._file is not None:
                file, self._file = self._file, None
                file.close()
        finally:  # closing writes buffered data, which fails on a full disk
            while self._older:
                self._older.popleft()[0].unlink(missing_ok=True)
            if self.number:
                self._path.unlink(missing_ok=True)
            self.size = self.newest = 0
            self._frames.clear()

    def _begin(self) -> None:
        self.close()
        if self.number:
            self._older.append((self._path, self.newest))
        self.number += 1
        self.newest = 0
        # O_EXCL: a file of another session is never overwritten.
        self._file = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")

    def _delete_older(self) -> None:
        """Delete the oldest files beyond the limit, after the newest is complete on disk."""
        if sum(size for _, size in self._older) > self._keep:
            self._complete()
        while self._older and sum(size for _, size in self._older) > self._keep:
            path, size = self._older.popleft()
            path.unlink(missing_ok=True)
            self.size -= size


def number_of(path: Path) -> int:
    """Return the number in the name of a journal file. Raises ValueError for another file."""
    return int(path.name.removesuffix(SUFFIX).rpartition(".")[2])


def name_of(path: Path) -> str:
    """Return the name of the session of a journal file."""
    return path.name.removesuffix(SUFFIX).rpartition(".")[0]


def sync_folder(folder: Path) -> None:
    """Force the names of the files in a folder onto the medium; syncing a file does not do that."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
