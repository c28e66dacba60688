"""Keep messages until the server is known to have received them."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from client.errors import ProtocolError
from client.events import Acknowledged, Error, Event, Marker, Updated
from client.packetizer import Packet

UPDATE: Final = "session.update"


@dataclass(frozen=True, slots=True)
class SentCommand:
    """Hold a message that is not audio, sent after all audio up to at_ms.

    text: the JSON text
    id: number of the command in the session, from 1; it is the `event_id` and a marker's `id` on the wire
    """

    type: str
    id: str
    at_ms: int
    text: str

    @property
    def start_ms(self) -> int:
        """Return the position in the stream."""
        return self.at_ms

    @property
    def end_ms(self) -> int:
        """Return the position in the stream."""
        return self.at_ms

    @property
    def size(self) -> int:
        """Return the size in characters."""
        return len(self.text)


Item = Packet | SentCommand


class SendBuffer:
    """Keep the messages of a session in order until the server has received them.

    When it holds `capacity` bytes, callers should wait before they add more.

    The server reports its progress in milliseconds of audio and in commands. A server that reports only the
    former leaves open whether a command at exactly that position has arrived, so `rewind` sends it again
    unless its reply was received. The repetition changes nothing, because no audio lies between both: a
    commit finds no open utterance, a clear finds nothing to drop, settings are in force already, a second end
    is ignored, and ReplyDedup drops the second reply to a marker or a clear.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0  # Bytes of all kept messages.
        self.keeps = True
        self._unsent: deque[Item] = deque()
        self._sent: deque[Item] = deque()
        self._arrived_ms = 0
        # Ids of sent `session.update`s without a reply, in order. `session.updated` names no message,
        # and may come after a resume, when that command has been forgotten and a newer one was sent.
        self._unanswered: deque[str] = deque()

    def __repr__(self) -> str:
        return f"<SendBuffer {self.size} bytes, {len(self._sent)} sent, {len(self._unsent)} unsent>"

    @property
    def has_capacity(self) -> bool:
        """Return whether more may be added."""
        return self.size < self.capacity

    def add(self, item: Item) -> None:
        """Add a message at the end."""
        self._unsent.append(item)
        self.size += item.size

    def next(self) -> Item | None:
        """Return the next message to send, which then counts as sent; None if there is none."""
        if not self._unsent:
            return None
        item = self._unsent.popleft()
        if self.keeps:
            self._sent.append(item)
            if isinstance(item, SentCommand) and item.type == UPDATE and item.id not in self._unanswered:
                self._unanswered.append(item.id)
        else:
            self.size -= item.size
        return item

    def stop_keeping(self, capacity: int) -> None:
        """Stop keeping sent messages, because the session cannot be resumed."""
        self.keeps, self.capacity = False, capacity
        self._forget(len(self._sent))

    def acknowledge(self, event: Event) -> None:
        """Remove the messages that have arrived according to an event."""
        match event:
            case Acknowledged(received_ms):
                self._arrived_until(received_ms)
            case Updated() if self._unanswered:
                self._arrived_through(self._unanswered.popleft())
            case Marker(id) | Error(event_id=str() as id):
                self._arrived_through(id)
                if id in self._unanswered:
                    self._unanswered.remove(id)
            case _:
                pass

    def rewind(self, received_ms: int, received_commands: int | None = None) -> None:
        """Schedule all messages that the server has not received to be sent again, after a broken connection.

        received_ms: milliseconds of audio that the server has received
        received_commands: number of commands that it has received; None if unknown
        Raises ProtocolError if the server had acknowledged more audio.
        """
        if received_ms < self._arrived_ms:
            raise ProtocolError(
                f"the server resumes at {received_ms} ms but had acknowledged {self._arrived_ms} ms"
            )
        if received_commands is None:
            self._arrived_until(received_ms)
        else:
            self._arrived_exactly(received_ms, received_commands)
        self._unsent.extendleft(reversed(self._sent))
        self._sent.clear()
        first = self._unsent[0] if self._unsent else None
        if isinstance(first, Packet) and first.start_ms < received_ms:
            self._unsent[0] = first.after(received_ms)
            self.size -= first.size - self._unsent[0].size

    def _arrived_until(self, ms: int) -> None:
        self._arrived_ms = max(self._arrived_ms, ms)
        while self._sent and self._sent[0].end_ms <= ms and self._sent[0].start_ms < ms:
            self._forget(1)

    def _arrived_exactly(self, ms: int, commands: int) -> None:
        self._arrived_ms = max(self._arrived_ms, ms)
        while self._sent:
            first = self._sent[0]
            if not (int(first.id) <= commands if isinstance(first, SentCommand) else first.end_ms <= ms):
                break
            self._forget(1)

    def _arrived_through(self, command_id: str) -> None:
        """Remove the command and everything before it."""
        for number, item in enumerate(self._sent, 1):
            if isinstance(item, SentCommand) and item.id == command_id:
                self._forget(number)
                return

    def _forget(self, count: int) -> None:
        for _ in range(count):
            self.size -= self._sent.popleft().size
