"""Tell the server how far a recognizer's process has come with the download of its model."""

import multiprocessing
from ctypes import c_int64
from dataclasses import dataclass

from asr.artifacts import LogReporter


@dataclass(frozen=True, slots=True)
class Download:
    """Hold how many bytes of a model are here, and of how many."""

    done: int
    total: int


class LoadProgress:
    """Count the bytes of a download in memory that a process shares with the one that starts it.

    It can be pickled only while a process is started. It implements asr.artifacts.Reporter, and logs as
    LogReporter does. One process reports, at one time; any may read.
    """

    def __init__(self) -> None:
        self._bytes = multiprocessing.get_context("spawn").RawArray(c_int64, 2)
        self._files: dict[str, Download] = {}
        self._log = LogReporter()

    @property
    def download(self) -> Download | None:
        """Return the sum of all files that were announced; None if nothing had to be downloaded."""
        done, total = self._bytes
        return Download(done, total) if total else None

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Report a file; one whose size is unknown counts as what has arrived of it."""
        self._log.progress(what, done, total)
        self._files[what] = Download(done, max(done, total or 0))
        self._bytes[:] = [
            sum(file.done for file in self._files.values()),
            sum(file.total for file in self._files.values()),
        ]

    def note(self, text: str) -> None:
        """Report an event, as a sentence."""
        self._log.note(text)
