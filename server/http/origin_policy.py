"""Origins: from where a browser may come, and what counts as this machine. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

ANY: Final = "*"
HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class OriginPolicy:
    """allowed: as browsers write them, `https://app.example`; ANY for all"""

    allowed: Sequence[str] = ()

    def allow(self, origin: str, host: str) -> bool:
        """Whether a page of that origin may come to a server that it calls `host`, its own port included.

        The scheme is not compared: behind a proxy that speaks TLS a server does not know its own.
        """
        is_our_own = bool(host) and origin.partition("://")[2].lower() == host.lower()
        return is_our_own or ANY in self.allowed or origin in self.allowed


def name_of(host: str) -> str | None:
    """What a Host header names, without port and brackets; None for what is none."""
    found = HOST.fullmatch(host)
    return None if found is None else found["name"].strip("[]").lower()


def is_this_machine(name: str) -> bool:
    """Whether an address, or a name that needs no resolving, leads to this machine alone (RFC 6761, 6.3)."""
    try:
        address = ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
