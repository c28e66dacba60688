"""Resume: when it is worth coming back after a cut, how soon, and for how long."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from client.errors import ConnectionLost

# Going away, no status, broken, failed or without pongs, events left unread.
WORTH: Final = frozenset({1001, 1005, 1006, 1011, 4013})
LATER: Final = frozenset({1012, 1013})  # to an attempt: the server stops or starts


@dataclass(frozen=True, slots=True)
class Resume:
    """How a stream outlives its connection.

    give_up_seconds: after a cut, and for a `send` that waits for room; a server waits 60 s by default
    first_seconds, longest_seconds: bounds of the pause before an attempt; it doubles in between
    backlog_bytes: sound held until it is acknowledged; 8 MiB are 260 s of PCM16 at 16 kHz
    """

    give_up_seconds: float = 60.0
    first_seconds: float = 0.1
    longest_seconds: float = 5.0
    backlog_bytes: int = 8 << 20

    def delays(self, random: Callable[[], float]) -> Iterator[float]:
        """Seconds before each attempt, without end: random parts of a pause that doubles, so that clients
        which a server lost together do not come back together ("full jitter"). random: 0 to 1."""
        pause = self.first_seconds
        while True:
            yield pause * random()
            pause = min(2 * pause, self.longest_seconds)


def is_worth_resuming(lost: ConnectionLost) -> bool:
    """False where the server has ended the session; of 1011 the reason says whether it has."""
    return lost.code in WORTH and lost.reason != "internal_error"


def is_worth_another_attempt(refused: ConnectionLost) -> bool:
    return refused.code in LATER or is_worth_resuming(refused)
