"""Subscription: the events that a program asked for, and those that the library needs for itself."""

from collections.abc import Mapping, Sequence
from typing import Final

from client.events import Acknowledged, ConnectionInterrupted, Created, Event, Resumed

NEEDED: Final = ("session.created", "input_audio_buffer.acknowledged")  # to come back after a cut
NAMES: Final[Mapping[type, str]] = {
    Created: "session.created",
    Acknowledged: "input_audio_buffer.acknowledged",
    Resumed: "session.resumed",
    ConnectionInterrupted: "session.resumed",
}


class Subscription:
    """asked: True or "all" for all events, else the types. needs: whether the library asks for its own."""

    def __init__(self, asked: bool | str | Sequence[str], *, needs: bool) -> None:
        self._needed = NEEDED if needs else ()
        self._all = False
        self._asked: tuple[str, ...] = ()
        self.change("all" if asked is True else asked or ())

    def change(self, asked: str | Sequence[str]) -> str | list[str]:
        """What the program asks for from here on; returns what to ask the server for."""
        self._all = asked == "all"
        self._asked = () if isinstance(asked, str) else tuple(asked)
        return asked if isinstance(asked, str) else list(dict.fromkeys((*self._asked, *self._needed)))

    def query(self) -> dict[str, str]:
        """The same for the URL."""
        if self._all:
            return {"events": "all"}
        names = dict.fromkeys((*self._asked, *self._needed))
        return {"events": ",".join(names)} if names else {}

    def wants(self, event: Event) -> bool:
        """False for what the library alone asked for."""
        name = NAMES.get(type(event))
        return name is None or self._all or name in self._asked
