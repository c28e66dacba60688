"""Tell the server how far a recognizer's process has come with the download and conversion of its model."""

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
    """Count the bytes of a download, and the seconds of a conversion, in memory shared between processes.

    The process that starts another one shares it with that one. It can be pickled only while a process is
    started. It implements asr.artifacts.Reporter, and logs as LogReporter does. One process reports, at one
    time; any may read.
    """

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._bytes = context.RawArray(c_int64, 2)
        self._conversion = context.RawValue(c_int64, -1)
        self._files: dict[str, Download] = {}
        self._log = LogReporter()

    @property
    def download(self) -> Download | None:
        """Return the sum of all files that were announced; None if nothing had to be downloaded."""
        done, total = self._bytes
        return Download(done, total) if total else None

    @property
    def conversion_seconds(self) -> int | None:
        """Return the seconds for which the model has been converted; None if it is not being converted."""
        seconds: int = self._conversion.value
        return None if seconds < 0 else seconds

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Report a file; one whose size is unknown counts as what has arrived of it."""
        self._log.progress(what, done, total)
        self._files[what] = Download(done, max(done, total or 0))
        self._bytes[:] = [
            sum(file.done for file in self._files.values()),
            sum(file.total for file in self._files.values()),
        ]

    def conversion(self, what: str, seconds: float | None) -> None:
        """Report for how many seconds a model has been converted; None when the conversion has ended."""
        self._log.conversion(what, seconds)
        self._conversion.value = -1 if seconds is None else int(seconds)

    def note(self, text: str) -> None:
        """Report an event, as a sentence."""
        self._log.note(text)
