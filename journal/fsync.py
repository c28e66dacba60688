"""Sync: when a journal is forced onto the disk."""

import ctypes
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple


class FsyncPolicy(StrEnum):
    """When what was written is forced onto the medium: against the loss of power, not of the process."""

    NEVER = "never"
    SECOND = "second"
    ALWAYS = "always"


class FsyncRequest(NamedTuple):
    """Something new in files of one owner. One of them is called in the thread.

    synced: None where nobody waits for that
    """

    synced: Callable[[], None] | None
    failed: Callable[[OSError], None]


class FsyncThread:
    """One round of a folder at a time; `is_busy` meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handle: int | None = None  # kept: what fails between two rounds is told to it
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sync")
        self._round: Future[None] | None = None

    @property
    def is_busy(self) -> bool:
        return self._round is not None and not self._round.done()

    def sync(self, written: Sequence[FsyncRequest]) -> None:
        """All that has left the buffers of this process by now, and the names of the files."""
        self._round = self._thread.submit(self._sync, written)

    def stop(self) -> None:
        """Waits for the round under way."""
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
    """That of an open file. Raises OSError. Where the system cannot do one alone, all are synced."""
    if not hasattr(_LIBRARY, "syncfs"):
        os.sync()
    elif _LIBRARY.syncfs(handle) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
