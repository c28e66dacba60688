"""Download a file over HTTP so that an interrupted download continues where it stopped."""

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit, urlunsplit

if TYPE_CHECKING:
    import httpx

PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds before each retry without progress

Progress = Callable[[int, int | None], None]  # bytes that are here, and bytes of the whole file if known


class DownloadFailed(Exception):
    """The file cannot be downloaded; the message says why."""


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def split_credentials(url: str) -> tuple[str, tuple[str, str] | None]:
    """Return an address without its user and password, and these.

    Addresses with a password must not reach messages or the logs of the HTTP client.
    """
    parts = urlsplit(url)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    if parts.username is None:
        return bare, None
    return bare, (unquote(parts.username), unquote(parts.password or ""))


def without_credentials(url: str) -> str:
    """Return an address without its user and password, for messages."""
    return split_credentials(url)[0]


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
            raise DownloadFailed(f"{without_credentials(url)} has another SHA-256 than the index says")
        download(client, url, target, max_bytes=max_bytes, sha256=sha256, progress=progress, pauses=pauses)
        return
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

    shown, credentials = split_credentials(url)
    failures = 0
    while True:
        before = _size(part)
        start = before if before <= max_bytes else 0
        headers = {"accept-encoding": "identity"} | ({"range": f"bytes={start}-"} if start else {})
        try:
            with client.stream("GET", shown, headers=headers, auth=credentials) as response:
                _save_rest(response, part, start, max_bytes, progress)
            return
        except (httpx.TransportError, _TryAgain) as error:
            failures = 0 if _size(part) > before else failures
            if failures == len(pauses):
                raise DownloadFailed(f"{shown} cannot be downloaded: {error}") from error
            time.sleep(pauses[failures])
            failures += 1
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DownloadFailed(f"{shown} cannot be downloaded: {error}") from error
        except _Refused as error:
            if isinstance(error, _TooLarge):
                part.unlink(missing_ok=True)
            raise DownloadFailed(f"{shown} {error}") from error


class _TryAgain(Exception):
    """The response to the next request may be a better one."""


class _Refused(Exception):
    """The response is not the file."""


class _TooLarge(_Refused):
    """The file has more bytes than expected."""


def _save_rest(
    response: "httpx.Response", part: Path, start: int, max_bytes: int, progress: Progress
) -> None:
    """Append the body of a response to the bytes that are here; start: the number of these."""
    status = response.status_code
    content_range = response.headers.get("content-range", "")
    if status == 416 and content_range == f"bytes */{start}":
        return  # The file was complete.
    if status == 416 or (status == 206 and not content_range.startswith(f"bytes {start}-")):
        part.unlink()
        raise _TryAgain("the server does not have the rest of the file")
    if status >= 500 or status in (408, 429):
        raise _TryAgain(f"the server responded with {status}")
    if status not in (200, 206):
        raise _Refused(f"responded with {status}")
    if status == 200:  # A server may ignore the range and send everything.
        start = 0
    length = response.headers.get("content-length", "")
    total = start + int(length) if length.isdecimal() else None
    if total is not None and total > max_bytes:
        raise _TooLarge(f"has {total} bytes, more than the expected {max_bytes}")
    done = start
    with part.open("ab" if start else "wb") as file:
        progress(done, total)
        for chunk in response.iter_raw():
            done += len(chunk)
            if done > max_bytes:
                raise _TooLarge(f"has more than the expected {max_bytes} bytes")
            file.write(chunk)
            progress(done, total)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
