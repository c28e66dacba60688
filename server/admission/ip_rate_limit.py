"""Limit how often streams may be requested from one IP address."""

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final

MAX_ADDRESSES: Final = 10_000
IPV6_PREFIX_BITS: Final = 64  # the smallest network that one customer gets (RFC 6177)


class IpRateLimit:
    """Limit requests by a token bucket for each address.

    A bucket is stored as the time at which it is full again (the generic cell rate algorithm, ITU-T I.371).
    Refused attempts take no token. A forgotten address has a full bucket.

    per_second: rate at which a bucket fills, in requests per second; burst: size of a bucket
    max_addresses: maximum number of stored addresses; the least recently admitted one is forgotten
    clock: returns the time, in seconds
    """

    def __init__(
        self,
        per_second: float,
        burst: int,
        *,
        max_addresses: int = MAX_ADDRESSES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interval = 1 / per_second
        self._tolerance = (burst - 1) * self._interval
        self._max_addresses = max_addresses
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def wait(self, host: str | None) -> float:
        """Return 0 and take a token if a request is allowed now, else the seconds until one is.

        host: address of the client; None if it has none, then the request is allowed
        """
        address = None if host is None else customer_of(host)
        if address is None:
            return 0.0
        now = self._clock()
        full_at = max(now, self._full_at.get(address, now))
        wait = full_at - now - self._tolerance
        if wait > 0:
            return wait
        self._full_at[address] = full_at + self._interval
        self._full_at.move_to_end(address)
        if len(self._full_at) > self._max_addresses:
            self._full_at.popitem(last=False)
        return 0.0


def customer_of(host: str) -> str | None:
    """Return the key under which an address is limited: an IPv6 address counts as its whole network.

    None stands for loopback, which is not limited: a local process can load the machine without the server,
    and a local proxy that does not forward addresses would make all clients share one bucket.
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
        return str(IPv6Network((int(address), IPV6_PREFIX_BITS), strict=False))
    return str(address)
