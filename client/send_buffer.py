"""Backlog: what is to be sent, and what has been sent and may not have arrived."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from client.errors import ProtocolError
from client.events import Acknowledged, Error, Event, Marker, Updated
from client.packetizer import Packet


@dataclass(frozen=True, slots=True)
class SentCommand:
    """A message that is no sound, at its place: behind all sound up to at_ms.

    text: as it is sent; id: its number in the session, from 1, and its `event_id`, and a marker's `id` on the
        wire
    """

    type: str
    id: str
    at_ms: int
    text: str

    @property
    def start_ms(self) -> int:
        return self.at_ms

    @property
    def end_ms(self) -> int:
        return self.at_ms

    @property
    def size(self) -> int:
        return len(self.text)


Item = Packet | SentCommand


class SendBuffer:
    """One session's messages in order, each held until the server is known to have it.

    When it holds `capacity` bytes it has no room, and whoever adds should wait.

    The server says how far it has come: in milliseconds of sound, and in commands. One that says only the
    first leaves open whether a command exactly there has arrived, so `rewind` has it sent again, unless its
    answer has been heard. No sound lies between the two, so the second one changes nothing: a commit finds no
    utterance open, a clear nothing to drop, settings are in force already, a second end is ignored, and the
    second answer to a marker or a clear is kept back by Replies.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0  # bytes held
        self.keeps = True
        self._unsent: deque[Item] = deque()
        self._sent: deque[Item] = deque()
        self._arrived_ms = 0

    def __repr__(self) -> str:
        return f"<Backlog {self.size} bytes, {len(self._sent)} sent, {len(self._unsent)} unsent>"

    @property
    def has_room(self) -> bool:
        return self.size < self.capacity

    def add(self, item: Item) -> None:
        self._unsent.append(item)
        self.size += item.size

    def next(self) -> Item | None:
        """What to send now; from here on it counts as sent."""
        if not self._unsent:
            return None
        item = self._unsent.popleft()
        if self.keeps:
            self._sent.append(item)
        else:
            self.size -= item.size
        return item

    def keep_nothing(self, capacity: int) -> None:
        """Nobody can come back to this session: what is sent need not be held."""
        self.keeps, self.capacity = False, capacity
        self._forget(len(self._sent))

    def hear(self, event: Event) -> None:
        """Lets go of what the event shows to have arrived."""
        match event:
            case Acknowledged(received_ms):
                self._arrived_until(received_ms)
            case Updated():
                self._arrived_through(lambda command: command.type == "session.update")
            case Marker(id) | Error(event_id=str() as id):
                self._arrived_through(lambda command: command.id == id)
            case _:
                pass

    def rewind(self, received_ms: int, received_commands: int | None = None) -> None:
        """The line was cut, and the server has the sound up to there, and so many commands: the rest is to be
        sent again.

        Raises ProtocolError where the server had acknowledged more.
        """
        if received_ms < self._arrived_ms:
            raise ProtocolError(
                f"the server goes on from {received_ms} ms and had acknowledged {self._arrived_ms}"
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

    def _arrived_through(self, is_it: Callable[[SentCommand], bool]) -> None:
        """The first such command, and all before it."""
        for number, item in enumerate(self._sent, 1):
            if isinstance(item, SentCommand) and is_it(item):
                self._forget(number)
                return

    def _forget(self, count: int) -> None:
        for _ in range(count):
            self.size -= self._sent.popleft().size
