"""Syncer: forces files onto the disk in a thread of its own, so that those who write need not wait for it."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from server.journal_files import sync_folder


class Written(NamedTuple):
    """Files of one owner with something new in them. Both are called in the thread.

    handles: descriptors, closed when they are synced
    failed: called if one cannot be; synced: called once all are, and their names
    """

    handles: Sequence[int]
    failed: Callable[[OSError], None]
    synced: Callable[[], None]


class Syncer:
    """One round of files of a folder at a time; `is_busy` meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sync")
        self._round: Future[None] | None = None

    @property
    def is_busy(self) -> bool:
        return self._round is not None and not self._round.done()

    def sync(self, written: Sequence[Written]) -> None:
        self._round = self._thread.submit(self._sync_all, written)

    def stop(self) -> None:
        """Waits for the round under way."""
        self._thread.shutdown()

    def _sync_all(self, written: Sequence[Written]) -> None:
        whole = [each for each in written if _sync(each)]
        try:
            sync_folder(self._folder)
        except OSError as error:
            for each in whole:
                each.failed(error)
            return
        for each in whole:
            each.synced()


def _sync(written: Written) -> bool:
    """False if it has failed, and was told."""
    failure = None
    for handle in written.handles:
        try:
            os.fdatasync(handle)
        except OSError as error:
            failure = error
        finally:
            os.close(handle)
    if failure is not None:
        written.failed(failure)
    return failure is None
