"""Show the progress of downloads and conversions on stderr.

A terminal gets a bar, anything else a line every few seconds.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from asr.artifacts import Reporter

LINE_SECONDS: Final = 5.0


class LineReporter:
    """Write a line at the start and the end of each file, and every few seconds in between."""

    def __init__(self, output: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._output = output
        self._clock = clock
        self._file = ""
        self._next = 0.0

    def progress(self, what: str, done: int, total: int | None) -> None:
        now = self._clock()
        if what == self._file and now < self._next and done != total:
            return
        self._file, self._next = what, now + LINE_SECONDS
        share = f" of {total / 1e6:.1f} MB ({done / total:.0%})" if total else " MB"
        self.note(f"{what}: {done / 1e6:.1f}{share}")

    def conversion(self, what: str, seconds: float | None) -> None:
        now = self._clock()
        if seconds is not None and now >= self._next:
            self._next = now + LINE_SECONDS
            self.note(f"{what}: converting, {seconds:.0f} s")

    def note(self, text: str) -> None:
        print(text, file=self._output, flush=True)


class BarReporter:
    """Draw a bar per file. Drawing begins with the first one, because the client of the hub draws its own."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def progress(self, what: str, done: int, total: int | None) -> None:
        self._bars.start()
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, total=total)

    def conversion(self, what: str, seconds: float | None) -> None:
        name = f"{what}, converting"
        if seconds is not None and name not in self._tasks:
            self._bars.start()
            self._tasks[name] = self._bars.add_task(name, total=None)
        elif seconds is None and name in self._tasks:
            self._bars.remove_task(self._tasks.pop(name))

    def note(self, text: str) -> None:
        self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def reporter() -> Iterator[Reporter]:
    """Yield the reporter for stderr."""
    if not sys.stderr.isatty():
        yield LineReporter(sys.stderr)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    bars = Progress(*columns, console=Console(stderr=True))
    try:
        yield BarReporter(bars)
    finally:
        bars.stop()
