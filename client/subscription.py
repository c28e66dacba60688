"""Combine the events that a program requested with those that the library needs."""

from collections.abc import Mapping, Sequence
from typing import Final

from client.events import Acknowledged, ConnectionInterrupted, Created, Event, Resumed

NEEDED: Final = ("session.created", "input_audio_buffer.acknowledged")  # Needed for reconnecting.
NAMES: Final[Mapping[type, str]] = {
    Created: "session.created",
    Acknowledged: "input_audio_buffer.acknowledged",
    Resumed: "session.resumed",
    ConnectionInterrupted: "session.resumed",
}


class Subscription:
    """Hold the requested events.

    requested: True or "all" for all events, else the message types
    needs: whether the library requests its own events
    """

    def __init__(self, requested: bool | str | Sequence[str], *, needs: bool) -> None:
        self._needed = NEEDED if needs else ()
        self._all = False
        self._requested: tuple[str, ...] = ()
        self.change("all" if requested is True else requested or ())

    def change(self, requested: str | Sequence[str]) -> str | list[str]:
        """Change the program's request; return the value for the server."""
        self._all = requested == "all"
        self._requested = () if isinstance(requested, str) else tuple(requested)
        return (
            requested
            if isinstance(requested, str)
            else list(dict.fromkeys((*self._requested, *self._needed)))
        )

    def query(self) -> dict[str, str]:
        """Return the parameters for the URL."""
        if self._all:
            return {"events": "all"}
        names = dict.fromkeys((*self._requested, *self._needed))
        return {"events": ",".join(names)} if names else {}

    def wants(self, event: Event) -> bool:
        """Return whether the program receives the event; False for one that only the library requested."""
        name = NAMES.get(type(event))
        return name is None or self._all or name in self._requested
