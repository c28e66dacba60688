"""Decide whether, when and for how long to reconnect after a connection broke."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from client.errors import ConnectFailed, ConnectionLost

# Close codes: going away, no status, broken, internal error or missing pongs, unread events.
RESUMABLE_CODES: Final = frozenset({1001, 1005, 1006, 1011, 4013})
# Close codes of an attempt: the server stops, starts or is full, or the client reconnects too often.
RETRYABLE_CODES: Final = frozenset({1012, 1013, 4029})
RETRYABLE_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504})  # The same as HTTP status codes.
SESSION_KEPT: Final = (
    "session_kept"  # Close reason of a stopping server whose sessions continue on the next one.
)


@dataclass(frozen=True, slots=True)
class ReconnectPolicy:
    """Configure how a stream survives a broken connection.

    give_up_seconds: most time for reconnecting, and for a `send` that waits for capacity; a server keeps a
        session for 60 s by default
    first_delay_seconds, max_delay_seconds: first and longest pause before an attempt; it doubles in between
    backlog_bytes: most audio that is kept until it is acknowledged; 8 MiB are 260 s of PCM16 at 16 kHz
    """

    give_up_seconds: float = 60.0
    first_delay_seconds: float = 0.1
    max_delay_seconds: float = 5.0
    backlog_bytes: int = 8 << 20

    def delays(self, random: Callable[[], float]) -> Iterator[float]:
        """Yield the seconds before each attempt, without end ("full jitter").

        Each is a random fraction of a pause that doubles, so that clients that a server lost at the same time
        do not return at the same time.
        random: returns numbers from 0 to 1
        """
        pause = self.first_delay_seconds
        while True:
            yield pause * random()
            pause = min(2 * pause, self.max_delay_seconds)


def is_worth_resuming(lost: ConnectionLost) -> bool:
    """Return whether the server may still have the session; with code 1011 this depends on the reason."""
    return lost.reason == SESSION_KEPT or (lost.code in RESUMABLE_CODES and lost.reason != "internal_error")


def is_worth_retrying(rejected: ConnectionLost) -> bool:
    """Return whether another attempt may succeed after the server closed one."""
    return rejected.code in RETRYABLE_CODES or is_worth_resuming(rejected)


def may_retry(rejected: ConnectFailed) -> bool:
    """Return whether another attempt may succeed after an HTTP rejection; not after that of a wrong key."""
    return rejected.status is None or rejected.status in RETRYABLE_STATUSES


def parse_retry_after(retry_after: str) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110, 10.2.3); None for a date or an empty value."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None
