"""Reach http(s) addresses that come from clients, and only public ones.

The server can reach hosts that the client cannot (server-side request forgery). So it resolves the name
itself, refuses it if any of its addresses is not public, and connects to the very address that it checked; a
second lookup could give another one (DNS rebinding).
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Final

import httpx

from downloads.address import Target
from downloads.errors import AddressRefused, DownloadError
from downloads.public_addresses import Address, is_public

IDLE_SECONDS: Final = 20.0  # to resolve, to connect, and between two reads
PRIVATE: Final = (
    "The address lies in a private network, or on the server itself. "
    "The operator of this server can allow it with FETCH_PRIVATE=true."
)
TOTAL_SECONDS: Final = 900.0  # for the whole download, which counts against MAX_FILES


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
    """Configure how the network is reached. Tests give their own names, certificates and times.

    is_public: whether an address may be reached without `private`
    idle_seconds: for resolving, for connecting and for each read
    total_seconds: for a whole download
    """

    resolve: Callable[[str, int], Awaitable[Sequence[Address]]] = resolve
    ssl_context: Callable[[], ssl.SSLContext] = system_ssl_context
    is_public: Callable[[Address], bool] = is_public
    idle_seconds: float = IDLE_SECONDS
    total_seconds: float = TOTAL_SECONDS

    async def checked_address(self, target: Target, *, private: bool) -> Address:
        """Return the address to connect to. Raise DownloadError if an address of the host is not public."""
        try:
            async with asyncio.timeout(self.idle_seconds):
                addresses = await self.resolve(target.host, target.port)
        except TimeoutError:
            raise DownloadError("Its name was not resolved in time.", is_transient=True) from None
        except UnicodeError as error:
            raise AddressRefused(f"This is no name of a host: {error}.") from error
        except OSError as error:
            raise DownloadError(f"Its name cannot be resolved: {error}.", is_transient=True) from error
        if not private and not all(map(self.is_public, addresses)):
            raise AddressRefused(PRIVATE)
        return addresses[0]


@asynccontextmanager
async def request(
    method: str,
    target: Target,
    *,
    private: bool,
    network: Network,
    headers: Mapping[str, str],
    content: bytes | None = None,
) -> AsyncIterator[httpx.Response]:
    """Send a request to the address that was checked, and yield the response; redirects are not followed.

    private: addresses that are not public are allowed, too

    The URL holds the address, so that httpx resolves nothing; the name goes into the Host header and into
    TLS, which checks the certificate for it. A client per request shares no connection and no cookies with
    another host at the same address. trust_env=False: a proxy would resolve the name again.
    """
    address = await network.checked_address(target, private=private)
    client = httpx.AsyncClient(
        headers={
            "host": target.authority,
            "user-agent": "stt-server",
            "accept-encoding": "identity",
            "connection": "close",
            **headers,
        },
        verify=await asyncio.to_thread(network.ssl_context),
        timeout=network.idle_seconds,
        trust_env=False,
    )
    url = httpx.URL(scheme=target.scheme, host=str(address), port=target.port)
    # httpx would normalise the path; a signed address must be requested as it is.
    extensions = {"sni_hostname": target.host, "target": target.target.encode()}
    async with client, client.stream(method, url, content=content, extensions=extensions) as response:
        yield response


@contextmanager
def errors_of_the_address() -> Iterator[None]:
    """Report what goes wrong on the way as a DownloadError."""
    try:
        yield
    except httpx.TimeoutException:
        raise DownloadError("It did not come in time.", is_transient=True) from None
    except httpx.TransportError as error:
        is_transient = not _is_about_the_certificate(error)
        raise DownloadError(f"It could not be fetched: {error}.", is_transient=is_transient) from error


def _is_about_the_certificate(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
