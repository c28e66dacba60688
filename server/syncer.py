"""Syncer: forces files onto the disk in a thread of its own, so that those who write need not wait for it."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple


class Written(NamedTuple):
    """A file with something new in it. handle: a descriptor of its own, closed when it is synced
    failed: called in the thread, if it cannot be"""

    handle: int
    failed: Callable[[OSError], None]


class Syncer:
    """One round of files at a time; `is_busy` meanwhile."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sync")
        self._round: Future[None] | None = None

    @property
    def is_busy(self) -> bool:
        return self._round is not None and not self._round.done()

    def sync(self, files: Sequence[Written]) -> None:
        self._round = self._thread.submit(_sync_all, files)

    def stop(self) -> None:
        """Waits for the round under way."""
        self._thread.shutdown()


def _sync_all(files: Sequence[Written]) -> None:
    for handle, failed in files:
        try:
            os.fdatasync(handle)
        except OSError as error:
            failed(error)
        finally:
            os.close(handle)
