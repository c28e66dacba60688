"""Drop repeated replies, so that a command that was sent twice is answered once."""

from collections import deque
from typing import Final

from client.events import Cleared, Event, Marker
from client.send_buffer import SentCommand

MAX_CLEARS: Final = 1000  # Most clears without a reply; replies come only if the program subscribed to them.
ROUNDING_MS: Final = 1
SLACK_MS: Final = 10  # Largest difference between the positions of server and client.


class ReplyDedup:
    """Match events with the commands that they answer; both come in order.

    On the wire, a marker has the id of its command, so markers of the same name differ. A clear is identified
    by its position alone: replies to two clears without audio between them may be swapped. Each channel that
    is kept apart answers each clear.
    """

    def __init__(self, channels: int | None = None) -> None:
        """Begin. channels: number of channels that are kept apart; None if they are mixed."""
        self._markers: dict[str, str] = {}  # Names of markers by command id.
        self._clears = {channel: _Clears() for channel in ((None,) if channels is None else range(channels))}

    def expect_marker(self, command: SentCommand, name: str) -> None:
        """Expect the reply to a marker; name: the id that the program gave it."""
        self._markers[command.id] = name

    def expect_clear(self, command: SentCommand) -> None:
        """Expect the reply to a clear."""
        for clears in self._clears.values():
            clears.expected.append(command.at_ms)

    def filter(self, event: Event) -> Event | None:
        """Return the event for the program; None for a repeated reply."""
        match event:
            case Marker(id):
                name = self._markers.pop(id, None)
                return None if name is None else Marker(name)
            case Cleared(start_ms, dropped_ms, channel) if channel in self._clears:
                return event if self._clears[channel].is_new(start_ms + dropped_ms) else None
            case _:
                return event


class _Clears:
    """Match the replies of one channel with clears; expected: positions in ms of those without a reply."""

    def __init__(self) -> None:
        self.expected: deque[int] = deque(maxlen=MAX_CLEARS)
        self._last_ms = -SLACK_MS  # Position of the last reply.

    def is_new(self, position_ms: int) -> bool:
        """Return whether a reply at this position is not a repetition."""
        if self.expected and self.expected[0] <= position_ms + SLACK_MS:
            self.expected.popleft()
        elif abs(position_ms - self._last_ms) <= ROUNDING_MS:
            return False
        self._last_ms = position_ms
        return True
