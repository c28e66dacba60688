"""Keep audio that waits for the models in temporary files, and use it as if it were in memory."""

import asyncio
import errno
import mmap
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from audio.clip import SAMPLE_RATE, Samples
from batching.threads import DeadlineThread

FILE_BYTES: Final = 4 << 20  # of one file: a minute of audio
KEPT_FREE: Final = 0.05  # share of the file system that is left to others
WRITE_SECONDS: Final = 10.0  # longest wait for the disk
VAR_TMP: Final = Path("/var/tmp")  # on a disk, where /tmp often is memory


def spool_folder() -> Path:
    """Return the folder for spooled audio: TMPDIR, else /var/tmp, else the system's temporary folder."""
    if "TMPDIR" not in os.environ and os.access(VAR_TMP, os.W_OK):
        return VAR_TMP
    return Path(tempfile.gettempdir())


class Spool:
    """Write the audio of many streams to disk, in one thread.

    The files have no names, so they are gone when the process ends, however it ends.

    max_samples: most samples that one stream may have on disk
    """

    def __init__(self, minutes: float, folder: Path | None = None) -> None:
        self.max_samples = round(minutes * 60 * SAMPLE_RATE)
        self._folder = folder or spool_folder()
        self._thread = DeadlineThread("spool")

    def open(self) -> "StreamSpool":
        """Return the spool of one stream."""
        return StreamSpool(self._thread, self._folder, self.max_samples)

    def close(self) -> None:
        """End the thread after what is being written."""
        self._thread.end()


class StreamSpool:
    """Keep audio of one stream.

    A file is freed when nothing refers to its audio any more.

    max_samples: as in Spool; 0 once the disk has failed
    error: why the disk failed; None if it did not
    writing: samples that are being written, and still take memory
    """

    def __init__(self, thread: DeadlineThread, folder: Path, max_samples: int) -> None:
        self.max_samples = max_samples
        self.error: str | None = None
        self.writing = 0
        self._tasks: set[asyncio.Task[Samples]] = set()
        self._thread = thread
        self._folder = folder
        self._file: _SpoolFile | None = None  # used in the thread only

    def store(self, samples: Samples, done: Callable[[Samples], None]) -> None:
        """Write samples; then call `done`, on the event loop, with equal ones that take no memory.

        If the disk fails, `done` gets the samples themselves.
        """
        task = asyncio.create_task(self._thread.call(WRITE_SECONDS, self._write, samples), name="spool")
        self._tasks.add(task)  # the event loop keeps no reference to it
        self.writing += len(samples)
        task.add_done_callback(partial(self._on_written, samples, done))

    def _on_written(
        self, samples: Samples, done: Callable[[Samples], None], task: "asyncio.Task[Samples]"
    ) -> None:
        self._tasks.discard(task)
        self.writing -= len(samples)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self.max_samples = 0
            self.error = str(error) or type(error).__name__
        done(task.result() if error is None else samples)

    def _write(self, samples: Samples) -> Samples:
        """Write samples and return them as a view of the file. Runs in the thread. Raises OSError."""
        usage = shutil.disk_usage(self._folder)
        if usage.free < KEPT_FREE * usage.total:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._folder))
        if self._file is None or self._file.free < samples.nbytes:
            self._file = _SpoolFile(self._folder, max(FILE_BYTES, samples.nbytes))
        return self._file.append(samples)


class _SpoolFile:
    """Map a temporary file that is written once, from its beginning to its end."""

    def __init__(self, folder: Path, size: int) -> None:
        self._size = size
        self._written = 0
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by `finalize`
        weakref.finalize(self, self._file.close)  # the mapping has a descriptor of its own
        self._file.truncate(size)
        self._samples = np.frombuffer(
            mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ), dtype=np.float32
        )

    @property
    def free(self) -> int:
        """Bytes that can still be written."""
        return self._size - self._written

    def append(self, samples: Samples) -> Samples:
        """Write samples and return a view of the file. Raises OSError.

        Written, not copied into the mapping: on a full disk that would end the process with SIGBUS.
        """
        data, start = np.ascontiguousarray(samples).data.cast("B"), self._written
        while data:
            written = self._file.write(data)
            assert written is not None
            data = data[written:]
        self._written += samples.nbytes
        return self._samples[start // 4 : self._written // 4]
