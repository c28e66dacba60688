"""Download a file from an http(s) address into a temporary file. Redirects are checked like the address."""

import asyncio
import re
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import IO, Final
from urllib.parse import unquote, urljoin, urlsplit

import httpx

from downloads.address import Target, target_of
from downloads.errors import DownloadError, FileTooLarge, NotAudio
from downloads.network import Network, errors_of_the_address, request
from downloads.retries import TRANSIENT, seconds_to_wait
from streaming.threads import run_in_thread_to_completion

IN_MEMORY: Final = 1 << 20  # bytes of a file; a larger one goes to disk
PIECE: Final = 1 << 18  # bytes that are written at once
MAX_REDIRECTS: Final = 5
MAX_NAME: Final = 200  # characters
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
PAGES: Final = frozenset({"text/html", "application/xhtml+xml"})
# Audio often comes as application/octet-stream or text/plain, so only what is surely none is refused.
NO_AUDIO: Final = re.compile(r"image/.+|font/.+|text/(css|csv|javascript)|application/(json|pdf|javascript)")
HEADERS: Final = {"accept": "audio/*, video/*, */*;q=0.5"}

OnBytes = Callable[[int, int | None], None]


def _ignore(read: int, total: int | None) -> None:
    """Do nothing."""


@asynccontextmanager
async def download(
    url: str, limit: int, *, private: bool, network: Network | None = None, on_bytes: OnBytes = _ignore
) -> AsyncIterator[IO[bytes]]:
    """Download a file and yield it as a temporary file, positioned at its beginning.

    limit: maximum size in bytes
    private: addresses that are not public are allowed, too
    on_bytes: called with the bytes read so far, and those of the file if that is declared

    Raises DownloadError if the URL is refused or the download fails, and OSError if the disk is full.
    """
    network = network or Network()
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
        try:
            async with asyncio.timeout(network.total_seconds):
                await _follow(target_of(url), limit, file, on_bytes, private=private, network=network)
        except TimeoutError:
            raise DownloadError(f"It took more than {network.total_seconds:g} s.") from None
        file.seek(0)
        yield file


def name_of(url: str) -> str:
    """Return the name of the file at an address, to show; "" if it has none."""
    name = unquote(urlsplit(url).path.rpartition("/")[2], errors="replace")
    return re.sub(r"[\x00-\x1f\x7f/\\]", "", name)[:MAX_NAME]


async def _follow(
    target: Target, limit: int, file: IO[bytes], on_bytes: OnBytes, *, private: bool, network: Network
) -> None:
    for _ in range(MAX_REDIRECTS + 1):
        with errors_of_the_address():
            opened = request("GET", target, private=private, network=network, headers=HEADERS)
            async with opened as response:
                if response.status_code not in REDIRECTS or "location" not in response.headers:
                    await _save(response, limit, file, on_bytes)
                    return
                location = response.headers["location"]
        target = target_of(urljoin(target.url, location))
    raise DownloadError(f"It redirects more than {MAX_REDIRECTS} times.")


async def _save(response: httpx.Response, limit: int, file: IO[bytes], on_bytes: OnBytes) -> None:
    """Write the body into the file. Raise DownloadError unless it is a file within the limit."""
    status = response.status_code
    if status != 200:
        raise DownloadError(
            f"The address answers with status {status}.",
            is_transient=status in TRANSIENT,
            retry_after=seconds_to_wait(response.headers.get("retry-after"), time.time()),
        )
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type in PAGES or NO_AUDIO.fullmatch(media_type):
        raise NotAudio(media_type, is_page=media_type in PAGES)
    declared = response.headers.get("content-length", "")
    total = int(declared) if declared.isdecimal() else None
    if total is not None and total > limit:
        raise FileTooLarge(limit, total)
    held = bytearray()
    async for piece in response.aiter_raw():
        read = response.num_bytes_downloaded
        if read > limit:
            raise FileTooLarge(limit, read)
        on_bytes(read, total)
        held += piece
        if len(held) >= PIECE:
            await run_in_thread_to_completion(file.write, bytes(held))
            held.clear()
    await run_in_thread_to_completion(file.write, bytes(held))
