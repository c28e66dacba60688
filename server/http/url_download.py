"""Download a file from an http(s) address into a temporary file.

The address comes from a client, and the server can reach hosts that the client cannot (server-side request
forgery). So the server resolves the name itself, refuses it if any of its addresses is not public, and
connects to the very address that it checked; a second lookup could give another one (DNS rebinding). Every
redirect is checked in the same way.
"""

import asyncio
import ipaddress
import re
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import IO, Final
from urllib.parse import SplitResult, urljoin, urlsplit

import httpx

from server.errors import ApiError, invalid, too_large
from server.http.upload import IN_MEMORY, PIECE
from streaming.threads import run_in_thread_to_completion

MAX_URL: Final = 2_000  # characters
MAX_REDIRECTS: Final = 5
IDLE_SECONDS: Final = 20.0  # to resolve, to connect, and between two reads
TOTAL_SECONDS: Final = 900.0  # for the whole download, which counts against MAX_FILES
PORTS: Final = {"http": 80, "https": 443}
NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # IPv4 for networks without it (RFC 6052)
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
HEADERS: Final = {
    "user-agent": "stt-server",
    "accept": "audio/*, video/*, */*;q=0.5",
    "accept-encoding": "identity",
    "connection": "close",
}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


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
    """Parse an address. Raise ApiError if it is not http(s), or if it holds a user or a password."""
    if not re.fullmatch(f"[!-~]{{1,{MAX_URL}}}", url):
        raise _refused(f"An address has at most {MAX_URL} characters, all of them ASCII and none blank.")
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _refused(f"This is no address: {error}.") from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise _refused("An address begins with http:// or https:// and names a host.")
    if parts.username is not None:
        raise _refused("An address must not hold a user or a password.")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(url, parts.scheme, parts.hostname, port or PORTS[parts.scheme], target)


def is_public(address: Address) -> bool:
    """Return whether an address is globally reachable (RFC 6890), also if it embeds an IPv4 address."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


@cache
def system_ssl_context() -> ssl.SSLContext:
    """Return a context that trusts the authorities of the system. The first call reads them from disk."""
    return ssl.create_default_context()


async def resolve(host: str, port: int) -> Sequence[Address]:
    """Resolve a host name with the system's resolver. Raises OSError and UnicodeError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]


@dataclass(frozen=True, slots=True)
class Network:
    """Configure how a download reaches the network. Tests give their own names, certificates and times.

    is_public: whether an address may be fetched from without `private`
    idle_seconds: for resolving, for connecting and for each read
    """

    resolve: Callable[[str, int], Awaitable[Sequence[Address]]] = resolve
    ssl_context: Callable[[], ssl.SSLContext] = system_ssl_context
    is_public: Callable[[Address], bool] = is_public
    idle_seconds: float = IDLE_SECONDS
    total_seconds: float = TOTAL_SECONDS

    async def checked_address(self, target: Target, *, private: bool) -> Address:
        """Return the address to connect to. Raise ApiError if any address of the host is not public."""
        async with asyncio.timeout(self.idle_seconds):
            addresses = await self.resolve(target.host, target.port)
        if not private and not all(map(self.is_public, addresses)):
            raise _refused("The address lies in a private network, or on the server itself.")
        return addresses[0]


@asynccontextmanager
async def download(
    url: str, limit: int, *, private: bool, network: Network | None = None
) -> AsyncIterator[IO[bytes]]:
    """Download a file and yield it as a temporary file, positioned at its beginning.

    limit: maximum size in bytes; private: addresses that are not public are allowed, too

    Raises ApiError if the URL is refused or the download fails.
    """
    network = network or Network()
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
        with _errors_of_the_address():
            async with asyncio.timeout(network.total_seconds):
                await _follow(target_of(url), limit, file, private=private, network=network)
        file.seek(0)
        yield file


async def _follow(target: Target, limit: int, file: IO[bytes], *, private: bool, network: Network) -> None:
    for _ in range(MAX_REDIRECTS + 1):
        async with _response(target, private=private, network=network) as response:
            if response.status_code not in REDIRECTS or "location" not in response.headers:
                await _save(response, limit, file)
                return
            location = response.headers["location"]
        target = target_of(urljoin(target.url, location))
    raise _failed(f"It redirects more than {MAX_REDIRECTS} times.")


@asynccontextmanager
async def _response(target: Target, *, private: bool, network: Network) -> AsyncIterator[httpx.Response]:
    """Request the target from the address that was checked.

    The URL holds the address, so that httpx resolves nothing; the name goes into the Host header and into
    TLS, which checks the certificate for it. A client per request shares no connection and no cookies with
    another host at the same address. trust_env=False: a proxy would resolve the name again.
    """
    address = await network.checked_address(target, private=private)
    client = httpx.AsyncClient(
        headers={"host": target.authority, **HEADERS},
        verify=await asyncio.to_thread(network.ssl_context),
        timeout=network.idle_seconds,
        trust_env=False,
    )
    url = httpx.URL(scheme=target.scheme, host=str(address), port=target.port)
    # httpx would normalise the path; a signed address must be requested as it is.
    extensions = {"sni_hostname": target.host, "target": target.target.encode()}
    async with client, client.stream("GET", url, extensions=extensions) as response:
        yield response


async def _save(response: httpx.Response, limit: int, file: IO[bytes]) -> None:
    """Write the body into the file. Raise ApiError if the status is not 200, or the body too large."""
    if response.status_code != 200:
        raise _failed(f"The address answers with status {response.status_code}.")
    length = response.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise too_large(limit, int(length))
    held = bytearray()
    async for piece in response.aiter_raw():
        if response.num_bytes_downloaded > limit:
            raise too_large(limit, response.num_bytes_downloaded)
        held += piece
        if len(held) >= PIECE:
            await run_in_thread_to_completion(file.write, bytes(held))
            held.clear()
    await run_in_thread_to_completion(file.write, bytes(held))


@contextmanager
def _errors_of_the_address() -> Iterator[None]:
    """Report what goes wrong on the way as an error of the address that the client gave."""
    try:
        yield
    except (TimeoutError, httpx.TimeoutException):
        raise _failed("It did not come in time.") from None
    except (OSError, UnicodeError, httpx.TransportError) as error:
        raise _failed(f"It could not be fetched: {error}.") from error


def _refused(message: str) -> ApiError:
    return invalid(message, "url", "invalid_url")


def _failed(message: str) -> ApiError:
    return invalid(message, "url", "fetch_failed")
