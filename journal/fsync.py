"""Force written journals onto the storage medium, in a thread of its own."""

import ctypes
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple


class FsyncPolicy(StrEnum):
    """Say when written data is forced onto the medium, which protects it from power loss.

    The loss of the process alone needs no fsync.
    """

    NEVER = "never"
    SECOND = "second"
    ALWAYS = "always"


class FsyncRequest(NamedTuple):
    """Ask for new data of one owner to be synced. The thread calls one of the two.

    synced: called after success; None if the owner does not need to know
    failed: called with the error after a failure
    """

    synced: Callable[[], None] | None
    failed: Callable[[OSError], None]


class FsyncThread:
    """Sync the file system of a folder, one round at a time; `is_busy` during a round."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handle: int | None = None  # stays open: it reports write errors between two rounds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sync")
        self._round: Future[None] | None = None

    @property
    def is_busy(self) -> bool:
        return self._round is not None and not self._round.done()

    def sync(self, written: Sequence[FsyncRequest]) -> None:
        """Start a round that syncs the data and file names which this process has written so far."""
        self._round = self._thread.submit(self._sync, written)

    def stop(self) -> None:
        """Wait for the current round, then stop the thread."""
        self._thread.shutdown()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _sync(self, written: Sequence[FsyncRequest]) -> None:
        try:
            if self._handle is None:
                self._handle = os.open(self._folder, os.O_RDONLY)
            sync_file_system(self._handle)
        except OSError as error:
            for each in written:
                each.failed(error)
        else:
            for each in written:
                if each.synced is not None:
                    each.synced()


_LIBRARY: Final = ctypes.CDLL(None, use_errno=True)


def sync_file_system(handle: int) -> None:
    """Sync the file system of an open file, or all of them where the system has no syncfs. Raises OSError."""
    if not hasattr(_LIBRARY, "syncfs"):
        os.sync()
    elif _LIBRARY.syncfs(handle) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
