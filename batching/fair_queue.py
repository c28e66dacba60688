"""Queue entries of many sources so that each source has its turn."""

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


class FairQueue(Generic[Entry]):
    """Serve sources round robin, and the entries of one source oldest first.

    After Nagle, RFC 970: "On packet switches with infinite storage". Of the entries that came after a given
    one, at most one of each other source is served before it. Where each source has one entry, the oldest is
    served first. The queue is unbounded: its user limits what it appends.

    size: number of entries
    """

    def __init__(self) -> None:
        self.size = 0
        self._lines: OrderedDict[Hashable, deque[Entry]] = OrderedDict()  # none empty, in order of turns

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[Entry]:
        """Iterate over all entries, in no particular order."""
        for line in self._lines.values():
            yield from line

    def append(self, entry: Entry, source: Hashable) -> None:
        """Add an entry; a source without waiting entries gets its turn after all that have some."""
        line = self._lines.get(source)
        if line is None:
            self._lines[source] = line = deque()
        line.append(entry)
        self.size += 1

    def first(self) -> Entry:
        """Return the entry that `pop` would take. Raises StopIteration if the queue is empty."""
        return next(iter(self._lines.values()))[0]

    def pop(self) -> Entry:
        """Take the first entry; its source goes to the end. Raises StopIteration if the queue is empty."""
        source, line = next(iter(self._lines.items()))
        entry = line.popleft()
        self.size -= 1
        if line:
            self._lines.move_to_end(source)
        else:
            del self._lines[source]
        return entry

    def remove(self, entry: Entry, source: Hashable) -> None:
        """Remove a waiting entry."""
        line = self._lines[source]
        line.remove(entry)
        self.size -= 1
        if not line:
            del self._lines[source]
