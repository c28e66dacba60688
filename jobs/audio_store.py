"""Keep the audio of jobs in a folder, forced onto the disk before a job is accepted."""

import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Protocol

PIECE: Final = 1 << 20  # bytes that are copied at once
ORPHAN_SECONDS: Final = 3_600.0  # age from which audio without a job is left from a crash


@dataclass(frozen=True, slots=True)
class StoredAudio:
    """Name stored audio; size: bytes."""

    key: str
    size: int


class AnyAudioStore(Protocol):
    """Keep audio: `AudioStore` in a folder, `S3AudioStore` in a bucket."""

    def save(self, source: IO[bytes]) -> StoredAudio:
        """Copy a file from its current position, and return after it is safe. Raises OSError."""

    def local(self, key: str) -> AbstractContextManager[Path]:
        """Yield the path of stored audio. Raises FileNotFoundError and OSError."""

    def delete(self, key: str) -> None:
        """Delete audio; does nothing if it is deleted already. Raises OSError."""

    def sweep(self, is_used: Callable[[str], bool], now: float | None = None) -> int:
        """Delete old audio that no job names. Return the number of files. Raises OSError."""


class AudioStore:
    """Store files by their content; only the user of the server can read them.

    A key is the SHA-256 of the content, so that damage can be found, and a random part: each job has a copy
    of its own, so that deleting the audio of one job needs no count of others. The methods block.
    """

    def __init__(self, folder: Path) -> None:
        """Keep files below `folder`, which is made if it is missing."""
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def save(self, source: IO[bytes]) -> StoredAudio:
        """Copy a file from its current position, and return after it is on the disk. Raises OSError."""
        digest, size = hashlib.sha256(), 0
        temporary = self._folder / f"incoming-{secrets.token_hex(8)}"
        try:
            with open(temporary, "wb", opener=_open_private) as copy:
                while piece := source.read(PIECE):
                    digest.update(piece)
                    size += len(piece)
                    copy.write(piece)
                copy.flush()
                os.fsync(copy.fileno())
            key = f"{digest.hexdigest()}-{secrets.token_hex(8)}"
            path = self.path(key)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        for folder in (path.parent, self._folder):
            _sync_folder(folder)
        return StoredAudio(key, size)

    def path(self, key: str) -> Path:
        """Return the path of stored audio."""
        return self._folder / key[:2] / key

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        """Yield the path of stored audio. Raises FileNotFoundError."""
        path = self.path(key)
        if not path.exists():
            raise FileNotFoundError(path)
        yield path

    def delete(self, key: str) -> None:
        """Delete audio; does nothing if it is deleted already. Raises OSError."""
        self.path(key).unlink(missing_ok=True)

    def sweep(self, is_used: Callable[[str], bool], now: float | None = None) -> int:
        """Delete what a crash left: old files that no job names. Return their number. Raises OSError."""
        limit = (time.time() if now is None else now) - ORPHAN_SECONDS
        deleted = 0
        for path in (*self._folder.glob("incoming-*"), *self._folder.glob("??/*-*")):
            try:
                is_old = path.stat().st_mtime < limit
            except FileNotFoundError:  # an upload that is complete has another name; a job was deleted
                continue
            if is_old and not is_used(path.name):
                path.unlink(missing_ok=True)
                deleted += 1
        return deleted


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
