"""Finished: a session that was over when its server ended; its client may not have heard all of it yet."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from audio.clip import SAMPLE_RATE
from server.dialect import Message
from server.disk import Disk
from server.errors import CLOSE_NORMAL, resume_unknown
from server.logs import session_id
from server.socket import Socket, SocketClosed
from server.wire import welcome, whole
from stream.entry import Command, Sound
from stream.journal import Journal
from stream.recovery import Recovered, recover

log = logging.getLogger(__name__)


class Finished:
    """Nothing of it is played once more, and nothing is read before somebody asks: there may be hundreds.

    head: as the native dialect has saved it; files: its journal, oldest first; messages_bytes: of messages
    that a client may ask for. Raises KeyError where the head is none of the native dialect.
    """

    def __init__(
        self, name: str, head: Mapping[str, Any], files: Sequence[Path], disk: Disk, messages_bytes: int
    ) -> None:
        self.owner: str | None = head["owner"]
        self._name = name
        self._files = files
        self._disk = disk
        self._messages_bytes = messages_bytes

    async def resume(self, socket: Socket, seen: int) -> None:
        """Tells what the client missed, and closes. Raises ClientError where some of it is forgotten."""
        session_id.set(self._name)
        try:
            greeting, missed = await asyncio.to_thread(self._read, seen)
        except (LookupError, OSError) as error:
            log.info("cannot be resumed: %s", error)
            raise resume_unknown() from None
        log.info("session was over, %d messages were missed", len(missed))
        try:
            await socket.send(greeting)
            for message in missed:
                await socket.send_text(message)
        except SocketClosed:
            return
        await socket.close(CLOSE_NORMAL)

    def forget(self) -> None:
        """Nobody can come back any more."""
        self._disk.delete(self._files)

    def _read(self, seen: int) -> tuple[Message, list[bytes]]:
        """What is told first, and the messages after `seen`. Raises LookupError, OSError."""
        past = recover([path.read_bytes() for path in self._files])
        if past is None:
            raise LookupError("the journal is damaged")
        journal = Journal(self._messages_bytes)
        journal.restore(past.number, [orjson.dumps(whole(*each)) for each in past.messages])
        missed = journal.since(seen)
        received, commands = _came_in(past)
        received_ms = received * 1000 // SAMPLE_RATE
        return welcome(self._name, received_ms, commands, seen, len(missed)), missed


def _came_in(past: Recovered) -> tuple[int, int]:
    """Samples, and messages that were no sound."""
    since = sum(len(entry.samples) for entry in past.tail if isinstance(entry, Sound))
    commands = sum(isinstance(entry, Command) for entry in past.tail)
    return past.begun.snapshot.state.received + since, past.head["commands"] + past.refused + commands
