"""Tell public IP addresses from those that only the server can reach."""

import ipaddress
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # IPv4 for networks without it (RFC 6052)
COMPATIBLE: Final = ipaddress.IPv6Network("::/96")  # IPv4 inside IPv6, obsolete (RFC 4291, 2.5.5.1)
# Not public, although Python 3.11 calls them global.
CLOSED: Final = (
    ipaddress.ip_network("168.63.129.16/32"),  # metadata and agents of Azure
    ipaddress.ip_network("192.0.0.0/24"),  # protocol assignments; metadata of Oracle (RFC 6890)
    ipaddress.ip_network("192.88.99.0/24"),  # relays of 6to4, deprecated (RFC 7526)
    ipaddress.ip_network("64:ff9b:1::/48"),  # NAT64 inside a network (RFC 8215)
    ipaddress.ip_network("::ffff:0:0:0/96"),  # IPv4 translated (RFC 2765)
    ipaddress.ip_network("fec0::/10"),  # site-local, deprecated (RFC 3879)
)


def is_public(address: Address) -> bool:
    """Return whether an address is globally reachable (RFC 6890), also if it embeds an IPv4 address."""
    if any(address in network for network in CLOSED):
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in NAT64 or address in COMPATIBLE:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast
