"""Replies: which answers are due, so that a command which was sent twice is answered once."""

from collections import deque
from typing import Final

from client.events import Cleared, Event, Marker
from client.send_buffer import SentCommand

MAX_CLEARS: Final = 1000  # that wait for their answer; whoever has not opted in gets none
ROUNDING_MS: Final = 1
SLACK_MS: Final = 10  # by which the server's count of sound may differ from ours


class ReplyDedup:
    """Commands as they are given, events as they come, both in order.

    Markers have the id of their command on the wire, so that each is known from another of the same name.
    Clears are known by their place alone: of two without sound between, the answers may change places with
    what else is told there.
    """

    def __init__(self) -> None:
        self._markers: dict[str, str] = {}  # their names, by command
        self._clears: deque[int] = deque(maxlen=MAX_CLEARS)  # their places in ms
        self._told = -SLACK_MS  # the place of the last one

    def expect_marker(self, command: SentCommand, name: str) -> None:
        self._markers[command.id] = name

    def expect_clear(self, command: SentCommand) -> None:
        self._clears.append(command.at_ms)

    def due(self, event: Event) -> Event | None:
        """The event as the program is to hear it; None for the answer to a repetition."""
        match event:
            case Marker(id):
                name = self._markers.pop(id, None)
                return None if name is None else Marker(name)
            case Cleared(start_ms, dropped_ms):
                return event if self._is_clear_due(start_ms + dropped_ms) else None
            case _:
                return event

    def _is_clear_due(self, place: int) -> bool:
        if self._clears and self._clears[0] <= place + SLACK_MS:
            self._clears.popleft()
        elif abs(place - self._told) <= ROUNDING_MS:
            return False
        self._told = place
        return True
