"""JournalFiles: the files of one session's journal, NAME.1.journal, NAME.2.journal, …

A newer file begins with all that is needed to go on; the ones before it hold messages that a client may still
ask for. Blocking; belongs to one thread.
"""

import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

from journal.fsync import FsyncPolicy
from journal.records import Record, SnapshotRecord, encoded

SUFFIX: Final = ".journal"


class SegmentFiles:
    """sync: when what is written is forced onto the medium; keep: bytes of older files

    number: of the newest file
    By the second it is the caller who does that, beside us; then `synced` lets older files go. Every method
    raises OSError as the operating system does.
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
        self._frames: list[bytes] = []  # for the newest, not written yet

    @property
    def has_older(self) -> bool:
        """Files that can go once the newest is on the medium."""
        return bool(self._older)

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._name}.{self.number}{SUFFIX}"

    def adopt(self, files: Sequence[Path], intact: int) -> None:
        """Goes on with files that are there: behind so many bytes of the newest."""
        *older, newest = files
        self._older.extend((path, path.stat().st_size) for path in older)
        os.truncate(newest, intact)
        self.number, self.newest = number_of(newest), intact
        self.size = intact + sum(size for _, size in self._older)
        self._file = newest.open("ab")

    def write(self, entry: Record) -> None:
        """With the next flush, in one piece with all that waits for it. Opened begins a new file."""
        if isinstance(entry, SnapshotRecord):
            self._begin()
        assert self._file is not None, "a file begins with Opened"
        data = encoded(entry)
        self._frames.append(data)
        self.newest += len(data)
        self.size += len(data)
        if isinstance(entry, SnapshotRecord):
            if self._sync is FsyncPolicy.ALWAYS:
                self._settle()
            if self._sync is not FsyncPolicy.SECOND:
                self._let_go()

    def flush(self, sync: bool) -> None:
        if self._file is not None:
            data = b"".join(self._frames)
            self._frames.clear()
            self._file.write(data)
            self._file.flush()
            if sync:
                os.fdatasync(self._file.fileno())

    def synced(self, number: int) -> None:
        """The files up to a number are on the medium, and their names."""
        if number == self.number:
            self._let_go()

    def _settle(self) -> None:
        """The newest file is there whole, under its name."""
        self.flush(self._sync is FsyncPolicy.ALWAYS)
        if self._sync is FsyncPolicy.ALWAYS:
            sync_folder(self._folder)

    def close(self) -> None:
        if self._file is not None:
            try:
                self.flush(self._sync is FsyncPolicy.ALWAYS)
            finally:
                file, self._file = self._file, None
                file.close()

    def delete(self) -> None:
        """Nothing of it is left. Idempotent."""
        try:
            if self._file is not None:
                file, self._file = self._file, None
                file.close()
        finally:  # a full disk takes in nothing more at the close either
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
        # The path is new: another's file would have another name.
        self._file = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")

    def _let_go(self) -> None:
        """Of the oldest files, once the newest is there whole."""
        if sum(size for _, size in self._older) > self._keep:
            self._settle()
        while self._older and sum(size for _, size in self._older) > self._keep:
            path, size = self._older.popleft()
            path.unlink(missing_ok=True)
            self.size -= size


def number_of(path: Path) -> int:
    """Of a session's file. Raises ValueError for another file."""
    return int(path.name.removesuffix(SUFFIX).rpartition(".")[2])


def name_of(path: Path) -> str:
    """Of the session."""
    return path.name.removesuffix(SUFFIX).rpartition(".")[0]


def sync_folder(folder: Path) -> None:
    """The names of files are synced by themselves."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
