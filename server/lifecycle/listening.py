"""Check whether the server can listen at an address, before it loads its models."""

import errno
import os
import socket


def problem_of_address(host: str, port: int) -> str | None:
    """Return why no server can listen there, and which setting to change; None if one can.

    The address is released again, so another process may still take it before the server listens.
    """
    if os.name != "posix":  # elsewhere two processes may listen at one address
        return None
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        return f"HOST={host}: {error.strerror}"
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
                probe.listen()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return (
                    f"PORT={port}: address already in use. Stop the program that listens at {host}:{port}, "
                    "or set PORT to another port; 0 chooses a free one."
                )
            if error.errno == errno.EACCES:
                return f"PORT={port}: permission denied. Set PORT to a port from 1024 on."
    return None
