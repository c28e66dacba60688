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
    by its position alone: replies to two clears without audio between them may be swapped.
    """

    def __init__(self) -> None:
        self._markers: dict[str, str] = {}  # Names of markers by command id.
        self._clears: deque[int] = deque(maxlen=MAX_CLEARS)  # Positions in ms.
        self._last_ms = -SLACK_MS  # Position of the last reply.

    def expect_marker(self, command: SentCommand, name: str) -> None:
        """Expect the reply to a marker; name: the id that the program gave it."""
        self._markers[command.id] = name

    def expect_clear(self, command: SentCommand) -> None:
        """Expect the reply to a clear."""
        self._clears.append(command.at_ms)

    def filter(self, event: Event) -> Event | None:
        """Return the event for the program; None for a repeated reply."""
        match event:
            case Marker(id):
                name = self._markers.pop(id, None)
                return None if name is None else Marker(name)
            case Cleared(start_ms, dropped_ms):
                return event if self._is_new_clear(start_ms + dropped_ms) else None
            case _:
                return event

    def _is_new_clear(self, position_ms: int) -> bool:
        if self._clears and self._clears[0] <= position_ms + SLACK_MS:
            self._clears.popleft()
        elif abs(position_ms - self._last_ms) <= ROUNDING_MS:
            return False
        self._last_ms = position_ms
        return True
