"""Keep the messages of a client until the models are loaded, on disk if they are many."""

import struct
import tempfile
from collections import deque
from typing import IO, Final

from streaming.spool import spool_folder
from streaming.threads import run_in_thread_to_completion

MEMORY_BYTES: Final = 1 << 16  # of one client
HEAD: Final = struct.Struct("<?I")  # whether the message is text, and its length in bytes


class MessageSpool:
    """Hold messages in order; `add` and `take` wait for the disk, and come from one task each.

    All that was added is taken before a new message is added.
    size: bytes that were added
    """

    def __init__(self) -> None:
        self.size = 0
        self._newest: deque[str | bytes] = deque()
        self._newest_bytes = 0
        self._file: IO[bytes] | None = None
        self._reading = False

    async def add(self, message: str | bytes) -> None:
        """Add a message. Raises OSError if the disk fails."""
        self._newest.append(message)
        self._newest_bytes += len(message)
        self.size += len(message)
        if self._newest_bytes > MEMORY_BYTES:
            messages, self._newest, self._newest_bytes = self._newest, deque(), 0
            await run_in_thread_to_completion(self._write, messages)

    async def take(self) -> str | bytes | None:
        """Return the oldest message; None if there is no more. Raises OSError if the disk fails."""
        if self._file is not None:
            message = await run_in_thread_to_completion(self._read, self._file)
            if message is not None:
                return message
            self.close()
        return self._newest.popleft() if self._newest else None

    def close(self) -> None:
        """Delete what is on disk."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, messages: deque[str | bytes]) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=spool_folder())  # noqa: SIM115 - closed by `close`
        for message in messages:
            data = message.encode() if isinstance(message, str) else message
            self._file.write(HEAD.pack(isinstance(message, str), len(data)) + data)
        self._file.flush()

    def _read(self, file: IO[bytes]) -> str | bytes | None:
        if not self._reading:
            self._reading = True
            file.seek(0)
        head = file.read(HEAD.size)
        if not head:
            return None
        is_text, length = HEAD.unpack(head)
        data = file.read(length)
        return data.decode() if is_text else data
