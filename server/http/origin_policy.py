"""Decide which web origins are allowed, and which host names mean this machine. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

ANY: Final = "*"
# Pages that this machine serves itself: browsers resolve these names to it without DNS.
LOOPBACK_ORIGIN: Final = re.compile(
    r"https?://(?:(?:[a-z0-9-]+\.)*localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?"
)
HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class OriginPolicy:
    """Allow pages of the server's own origin and of the origins that are listed.

    allowed: origins as browsers send them, such as `https://app.example`; ANY allows all
    loopback: allow pages that this machine serves, at any port
    """

    allowed: Sequence[str] = ()
    loopback: bool = False

    def allow(self, origin: str, host: str) -> bool:
        """Return whether a page of an origin may call the server that it addresses as `host`.

        host: the Host header, with the port. The scheme is not compared: behind a proxy that terminates TLS,
        the server does not know its own.
        """
        is_our_own = bool(host) and origin.partition("://")[2].lower() == host.lower()
        is_local = self.loopback and LOOPBACK_ORIGIN.fullmatch(origin) is not None
        return is_our_own or is_local or ANY in self.allowed or origin in self.allowed


def host_name(host: str) -> str | None:
    """Return the name in a Host header without port and brackets, in lower case; None if it is invalid."""
    found = HOST.fullmatch(host)
    return None if found is None else found["name"].strip("[]").lower()


def is_this_machine(name: str) -> bool:
    """Return whether a name is a loopback address or a localhost name (RFC 6761, 6.3). It is not resolved."""
    try:
        address = ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
