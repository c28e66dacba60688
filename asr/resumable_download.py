"""Download a file over HTTP so that an interrupted download continues where it stopped."""

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import httpx

CHUNK: Final = 1 << 20  # bytes
PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds before each retry without progress

Progress = Callable[[int, int | None], None]  # bytes that are here, and bytes of the whole file if known


class DownloadFailed(Exception):
    """The file cannot be downloaded; the message says why."""


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(
    client: "httpx.Client",
    url: str,
    target: Path,
    *,
    max_bytes: int,
    sha256: str | None = None,
    progress: Progress = lambda done, total: None,
    pauses: Sequence[float] = PAUSES,
) -> None:
    """Download a URL to a file; the file appears only when it is complete.

    An incomplete download stays beside it as `NAME.part`, and the next call continues it. A connection that
    breaks is retried after each of the pauses; progress resets the count. If the SHA-256 is given and a
    continued file does not match it, the file is downloaded once more from its start.

    max_bytes: size above which the download is refused. Raises DownloadFailed and OSError.
    """
    part = target.with_name(f"{target.name}.part")
    continued = _size(part) > 0
    _complete(client, url, part, max_bytes, progress, pauses)
    if sha256 is not None and sha256_of(part) != sha256:
        part.unlink()
        if not continued:
            raise DownloadFailed(f"{url} has another SHA-256 than {sha256}")
        _complete(client, url, part, max_bytes, progress, pauses)
        if sha256_of(part) != sha256:
            part.unlink()
            raise DownloadFailed(f"{url} has another SHA-256 than {sha256}")
    part.replace(target)


def _complete(
    client: "httpx.Client",
    url: str,
    part: Path,
    max_bytes: int,
    progress: Progress,
    pauses: Sequence[float],
) -> None:
    """Download the rest of the file, with retries."""
    import httpx

    failures = 0
    while True:
        before = _size(part)
        try:
            _request_rest(client, url, part, max_bytes, progress)
            return
        except (httpx.TransportError, _TryAgain) as error:
            failures = 0 if _size(part) > before else failures
            if failures == len(pauses):
                raise DownloadFailed(f"{url}: {error}") from error
            time.sleep(pauses[failures])
            failures += 1
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DownloadFailed(f"{url}: {error}") from error


class _TryAgain(Exception):
    """The response may be a better one at the next request."""


def _request_rest(client: "httpx.Client", url: str, part: Path, max_bytes: int, progress: Progress) -> None:
    """Request the bytes that are missing and append them."""
    start = _size(part)
    headers = {"accept-encoding": "identity"} | ({"range": f"bytes={start}-"} if start else {})
    with client.stream("GET", url, headers=headers) as response:
        if start and response.status_code == 416:
            if response.headers.get("content-range") == f"bytes */{start}":
                return  # The file was complete.
            part.unlink()
            raise _TryAgain("the server does not have the rest of the file")
        if response.status_code >= 500 or response.status_code in (408, 429):
            raise _TryAgain(f"responded with {response.status_code}")
        if response.status_code not in (200, 206):
            raise DownloadFailed(f"{url} responded with {response.status_code}")
        # A server may ignore the range and send everything.
        if response.status_code == 200 or _range_start(response.headers.get("content-range", "")) != start:
            if response.status_code == 206:
                part.unlink(missing_ok=True)
                raise _TryAgain("responded with another range than requested")
            start = 0
        length = response.headers.get("content-length", "")
        total = start + int(length) if length.isdecimal() else None
        if total is not None and total > max_bytes:
            raise DownloadFailed(f"{url} has {total} bytes, more than the expected {max_bytes}")
        done = start
        with part.open("ab" if start else "wb") as file:
            progress(done, total)
            for chunk in response.iter_raw(CHUNK):
                done += len(chunk)
                if done > max_bytes:
                    raise DownloadFailed(f"{url} has more than the expected {max_bytes} bytes")
                file.write(chunk)
                progress(done, total)


def _range_start(content_range: str) -> int | None:
    match = re.match(r"bytes (\d+)-", content_range)
    return int(match[1]) if match else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
