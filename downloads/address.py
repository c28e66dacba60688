"""Parse http(s) addresses that come from clients. Pure."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from downloads.errors import AddressRefused

MAX_URL: Final = 2_000  # characters
PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """Hold the parts of an http(s) URL.

    target: path and query as in the request line
    """

    url: str
    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Return the value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def target_of(url: str) -> Target:
    """Parse an address. Raise AddressRefused if it is not http(s), or if it holds a user or a password."""
    if not re.fullmatch(f"[!-~]{{1,{MAX_URL}}}", url):
        raise AddressRefused(
            f"An address has at most {MAX_URL} characters, all of them ASCII and none blank."
        )
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressRefused(f"This is no address: {error}.") from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise AddressRefused("An address begins with http:// or https:// and names a host.")
    if parts.username is not None:
        raise AddressRefused("An address must not hold a user or a password.")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(url, parts.scheme, parts.hostname, port or PORTS[parts.scheme], target)
