"""Say whether and when a request that failed may succeed. Pure."""

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

TRANSIENT: Final = frozenset({408, 425, 429, *range(500, 600)})  # statuses that may pass


def seconds_to_wait(retry_after: str | None, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for (RFC 9110, 10.2.3); None without a valid one.

    retry_after: a number of seconds or a date
    now: seconds since the epoch
    """
    value = (retry_after or "").strip()
    if value.isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:  # the zone is -0000
        date = date.replace(tzinfo=UTC)
    return max(0.0, date.timestamp() - now)
