"""Fetch: what lies at an http(s) address, on its way to a temporary file.

The address comes from whoever may send files, and the server may reach more than they do. So names are
resolved here, every address that is not public is refused, and the connection goes to the very address that
was looked at: else a name could point elsewhere by then (DNS rebinding). So it is with each redirect.
"""

import asyncio
import ipaddress
import re
import socket
import ssl
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import IO, Final
from urllib.parse import SplitResult, urljoin, urlsplit

import h11

from server.errors import ApiError, invalid, too_large
from server.http.upload import IN_MEMORY, PIECE
from streaming.threads import run_in_thread_to_completion

MAX_URL: Final = 2_000  # characters
MAX_REDIRECTS: Final = 5
IDLE_SECONDS: Final = 20.0  # without a byte, and for a connection
WHOLE_SECONDS: Final = 900.0  # for all of it: who sends a byte now and then holds a place among the files
READ: Final = 1 << 16
PORTS: Final = {"http": 80, "https": 443}
NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # IPv4 for networks without it (RFC 6052)
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Target:
    """What an address names. target: path and query, as they are asked for"""

    url: str
    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def target_of(url: str) -> Target:
    """Raises HttpError for what is no http(s) address, or holds a password."""
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
    """Neither this machine nor a network of its own, however the address is dressed (RFC 6890)."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


@asynccontextmanager
async def fetched(url: str, limit: int, *, private: bool) -> AsyncIterator[IO[bytes]]:
    """What lies there, in a temporary file, at its beginning.

    limit: bytes; private: addresses that are not public may be fetched too. Raises HttpError.
    """
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
        with _told():
            async with asyncio.timeout(WHOLE_SECONDS):
                await _follow(target_of(url), limit, file, private=private)
        file.seek(0)
        yield file


async def _follow(target: Target, limit: int, file: IO[bytes], *, private: bool) -> None:
    for _ in range(MAX_REDIRECTS + 1):
        onward = await _ask(target, limit, file, private=private)
        if onward is None:
            return
        target = target_of(urljoin(target.url, onward))
    raise _failed(f"It redirects more than {MAX_REDIRECTS} times.")


async def _ask(target: Target, limit: int, file: IO[bytes], *, private: bool) -> str | None:
    """Writes the answer into the file; where it lies instead, if it is elsewhere."""
    async with AsyncExitStack() as stack:
        exchange = await stack.enter_async_context(_connected(target, private=private))
        response = await exchange.ask(target)
        headers = {name.decode(): value.decode("latin-1") for name, value in response.headers}
        if response.status_code in REDIRECTS and "location" in headers:
            return headers["location"]
        if response.status_code != 200:
            raise _failed(f"The address answers with status {response.status_code}.")
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > limit:
            raise too_large(limit, int(length))
        body = await stack.enter_async_context(aclosing(exchange.body()))
        await _write(body, limit, file)
    return None


async def _write(body: AsyncGenerator[bytes, None], limit: int, file: IO[bytes]) -> None:
    held = bytearray()
    read = 0
    async for piece in body:
        read += len(piece)
        if read > limit:
            raise too_large(limit, read)
        held += piece
        if len(held) >= PIECE:
            await run_in_thread_to_completion(file.write, bytes(held))
            held.clear()
    await run_in_thread_to_completion(file.write, bytes(held))


@asynccontextmanager
async def _connected(target: Target, *, private: bool) -> AsyncIterator["_Exchange"]:
    address = await _address_of(target, private=private)
    secure = await asyncio.to_thread(_authorities) if target.scheme == "https" else None
    async with asyncio.timeout(IDLE_SECONDS):
        reader, writer = await asyncio.open_connection(
            str(address), target.port, ssl=secure, server_hostname=target.host if secure else None
        )
    try:
        yield _Exchange(reader, writer)
    finally:
        writer.transport.abort()  # nothing is left to say, and a close would wait for the other side


@cache
def _authorities() -> ssl.SSLContext:
    """Whom the system trusts; reading that takes a while."""
    return ssl.create_default_context()


async def _address_of(target: Target, *, private: bool) -> Address:
    async with asyncio.timeout(IDLE_SECONDS):
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]
    if not private and not all(map(is_public, addresses)):
        raise _refused("The address lies in a private network, or on the server itself.")
    return addresses[0]


class _Exchange:
    """One request and its answer over one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)

    async def ask(self, target: Target) -> h11.Response:
        headers = {
            "host": target.authority,
            "user-agent": "stt-server",
            "accept": "audio/*, video/*, */*;q=0.5",
            "accept-encoding": "identity",
            "connection": "close",
        }
        request = h11.Request(method="GET", target=target.target, headers=list(headers.items()))
        self._writer.write((self._http.send(request) or b"") + (self._http.send(h11.EndOfMessage()) or b""))
        while True:
            event = await self._next()
            if isinstance(event, h11.Response):
                return event

    async def body(self) -> AsyncGenerator[bytes, None]:
        while isinstance(event := await self._next(), h11.Data):
            yield bytes(event.data)

    async def _next(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            async with asyncio.timeout(IDLE_SECONDS):
                self._http.receive_data(await self._reader.read(READ))
        return event


@contextmanager
def _told() -> Iterator[None]:
    """What goes wrong on the way is the address's fault, for whoever gave it."""
    try:
        yield
    except TimeoutError:
        raise _failed("It did not come in time.") from None
    except (OSError, UnicodeError, h11.RemoteProtocolError) as error:
        raise _failed(f"It could not be fetched: {error}.") from error


def _refused(message: str) -> ApiError:
    return invalid(message, "url", "invalid_url")


def _failed(message: str) -> ApiError:
    return invalid(message, "url", "fetch_failed")
