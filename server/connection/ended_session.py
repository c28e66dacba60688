"""Keep sessions that ended under a previous server until their clients have received the last messages."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import orjson

from audio.clip import Samples
from journal.replay import ReplayedSession, replay_journal
from journal.store import JournalStore
from server.connection.message_log import MessageLog
from server.connection.protocol import Message
from server.connection.websocket import BoundedWebSocket, WebSocketClosed
from server.errors import CLOSE_NORMAL, resume_unknown
from server.observability.log_config import session_id

log = logging.getLogger(__name__)


class EndedMessages(Protocol):
    """Encode messages for a client that resumes, in the wire protocol of the ended session."""

    def resumed_message(self, recovered: ReplayedSession, seen: int, replayed: int) -> Message:
        """Return the first message to the client.

        seen: number of the last message that the client has seen
        replayed: number of messages that follow
        Raises LookupError if the journal was written by another kind of session.
        """
        ...

    def with_audio(self, message: Mapping[str, Any], samples: Samples | None) -> Mapping[str, Any]:
        """Restore a message that the journal keeps without its audio, as `ResumeSupport.with_audio` does."""
        ...


class EndedSession:
    """Hold an ended session of a previous server; its journal is read only when the client resumes.

    owner: name of the key that began the session
    encoder: encodes messages in the session's wire protocol
    files: files of the journal, oldest first
    disk: deletes the files when the session is forgotten
    messages_bytes: limit of the messages that can be sent again, in bytes
    """

    def __init__(
        self,
        name: str,
        owner: str | None,
        encoder: EndedMessages,
        files: Sequence[Path],
        disk: JournalStore,
        messages_bytes: int,
    ) -> None:
        self.owner = owner
        self._name = name
        self._encoder = encoder
        self._files = files
        self._disk = disk
        self._messages_bytes = messages_bytes

    async def resume(self, socket: BoundedWebSocket, seen: int) -> None:
        """Send the messages that the client missed, and close the connection.

        seen: number of the last message that the client has seen
        Raises ClientError if some of the messages are no longer kept or the journal cannot be read.
        """
        session_id.set(self._name)
        try:
            greeting, missed = await asyncio.to_thread(self._read, seen)
        except (LookupError, OSError) as error:
            log.info("resume.refused reason=%r", str(error))
            raise resume_unknown() from None
        log.info("resume.accepted missed=%d ended=true", len(missed))
        try:
            await socket.send(greeting)
            for message in missed:
                await socket.send_text(message)
        except WebSocketClosed:
            return
        await socket.close(CLOSE_NORMAL)

    def forget(self) -> None:
        """Delete the journal: the client can no longer resume the session."""
        self._disk.delete(self._files)

    def _read(self, seen: int) -> tuple[Message, list[bytes]]:
        """Return the first message and the messages after `seen`. Raises LookupError, OSError."""
        recovered = replay_journal([path.read_bytes() for path in self._files])
        if recovered is None:
            raise LookupError("the journal is damaged")
        journal = MessageLog(self._messages_bytes)
        journal.restore(
            recovered.number, [orjson.dumps(self._encoder.with_audio(*each)) for each in recovered.messages]
        )
        missed = journal.since(seen)
        return self._encoder.resumed_message(recovered, seen, len(missed)), missed
