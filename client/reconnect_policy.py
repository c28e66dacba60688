"""Resume: when it is worth coming back after a cut, how soon, and for how long."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from client.errors import ConnectFailed, ConnectionLost

# Going away, no status, broken, failed or without pongs, events left unread.
WORTH: Final = frozenset({1001, 1005, 1006, 1011, 4013})
# To an attempt: the server stops, starts or has no place, or the client came too often.
LATER: Final = frozenset({1012, 1013, 4029})
LATER_STATUS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})  # the same in HTTP
KEPT: Final = "session_kept"  # reason of a server that stops, whose sessions go on with the next one


@dataclass(frozen=True, slots=True)
class ReconnectPolicy:
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
    return lost.reason == KEPT or (lost.code in WORTH and lost.reason != "internal_error")


def is_worth_another_attempt(refused: ConnectionLost) -> bool:
    return refused.code in LATER or is_worth_resuming(refused)


def may_do_later(refused: ConnectFailed) -> bool:
    """False where the server will say the same again: to a wrong key, for one."""
    return refused.status is None or refused.status in LATER_STATUS


def seconds_of(retry_after: str) -> float | None:
    """Of that header (RFC 9110, 10.2.3); None where it holds a date or nothing."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None
