"""Addresses: how often streams may be asked for from one address."""

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final

MOST: Final = 10_000  # addresses that are remembered
PREFIX: Final = 64  # bits of IPv6 that one customer has, at the least (RFC 6177)


class IpRateLimit:
    """Each may come `burst` times at once, and from then on `per_second` times: a token bucket, kept as the
    time at which it is full again (the generic cell rate algorithm, ITU-T I.371).

    Of the `most` addresses that came last; one that was forgotten has a full bucket. Refused attempts cost
    nothing. clock: seconds
    """

    def __init__(
        self,
        per_second: float,
        burst: int,
        *,
        most: int = MOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interval = 1 / per_second
        self._tolerance = (burst - 1) * self._interval
        self._most = most
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def wait(self, host: str | None) -> float:
        """An attempt: 0 if it may be, else after how many seconds the next one may.

        host: None for one that has no address
        """
        address = None if host is None else customer(host)
        if address is None:
            return 0.0
        now = self._clock()
        full_at = max(now, self._full_at.get(address, now))
        wait = full_at - now - self._tolerance
        if wait > 0:
            return wait
        self._full_at[address] = full_at + self._interval
        self._full_at.move_to_end(address)
        if len(self._full_at) > self._most:
            self._full_at.popitem(last=False)
        return 0.0


def customer(host: str) -> str | None:
    """Whose address it is: of IPv6 the network, which holds more addresses than anybody could count.

    None for this machine: whoever is on it needs no server to take its time, and a proxy on it that names
    nobody speaks for everybody.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    if address.is_loopback:
        return None
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), PREFIX), strict=False))
    return str(address)
