"""FairQueue: many sources, one queue; each source has its turn."""

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


class FairQueue(Generic[Entry]):
    """Round robin among sources, oldest first within each (Nagle, RFC 970: "On packet switches with infinite
    storage"). So of what came later than an entry at most one of each other source goes before it; and where
    each source has one entry, the oldest goes first.

    Unbounded: whoever appends holds the bound.
    """

    def __init__(self) -> None:
        self._lines: OrderedDict[Hashable, deque[Entry]] = (
            OrderedDict()
        )  # no empty ones; whose turn is next first
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Entry]:
        """All entries, in no order that matters."""
        for line in self._lines.values():
            yield from line

    def append(self, entry: Entry, source: Hashable) -> None:
        """A source of which nothing waits has its turn behind all that wait."""
        self._lines.setdefault(source, deque()).append(entry)
        self._size += 1

    def first(self) -> Entry:
        """What `pop` would take. Raises StopIteration where there is nothing."""
        return next(iter(self._lines.values()))[0]

    def pop(self) -> Entry:
        """Takes the first entry; its source has its next turn behind all others. Raises StopIteration."""
        source, line = next(iter(self._lines.items()))
        entry = line.popleft()
        self._size -= 1
        if line:
            self._lines.move_to_end(source)
        else:
            del self._lines[source]
        return entry

    def remove(self, entry: Entry, source: Hashable) -> None:
        """Takes out an entry that waits."""
        line = self._lines[source]
        line.remove(entry)
        self._size -= 1
        if not line:
            del self._lines[source]
