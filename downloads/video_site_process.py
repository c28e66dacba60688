"""Download the media of a web page with yt-dlp: the program of a process of its own.

Usage: python -m downloads.video_site_process < REQUEST (JSON). It writes one JSON object a line: progress,
and at the end the file or the error. `downloads/video_sites.py` starts it.

yt-dlp opens its own connections, so the guard stands below it: an audit hook of Python sees the address of
each connection at the moment it is made, whatever name or redirect led there, and refuses what is not public.
Other programs (FFmpeg, JavaScript engines) would pass by that hook, so none may be started.
"""

import ipaddress
import json
import resource
import sys
from pathlib import Path
from typing import Any, Final

from downloads.public_addresses import is_public
from downloads.retries import TRANSIENT

MEMORY_BYTES: Final = 2 << 30  # of the process: a page or a playlist is held in memory as a whole
PROGRAMS: Final = frozenset(
    {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.fork", "os.forkpty"}
)
# One stream of one file, with sound, that needs no program to download or to merge.
FORMAT: Final = (
    "(bestaudio/best)[protocol^=http]/(bestaudio/best)[protocol=m3u8_native]/"
    "(bestaudio/best)[protocol=m3u8]/best"
)


class Refused(OSError):
    """A connection leads to where the server may not go."""


class Failed(Exception):
    """The media cannot be downloaded.

    code: name for programs
    """

    def __init__(self, code: str, message: str, *, is_transient: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.is_transient = is_transient


def guard(*, private: bool) -> None:
    """Refuse connections to what is not public, and other programs, from now on until the process ends."""

    def check(event: str, arguments: tuple[Any, ...]) -> None:
        if event in PROGRAMS:
            raise Refused(f"no program may be started: {event}")
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            check_address(arguments[1])

    def check_address(address: object) -> None:
        if address is None:  # sendmsg on a connected socket
            return
        # A name here would be resolved later than it is checked; a path is a socket of this machine.
        host = str(address[0]) if isinstance(address, tuple) else "a socket of this machine"
        try:
            allowed = private or is_public(ipaddress.ip_address(host.partition("%")[0]))
        except ValueError:
            allowed = False
        if not allowed:
            raise Refused(f"{host} lies in a private network, or on the server itself")

    sys.addaudithook(check)


def tell(**fields: object) -> None:
    """Write a line for the parent process."""
    print(json.dumps(fields), flush=True)


def fetch(url: str, folder: Path, limit: int, max_seconds: float) -> tuple[Path, str]:
    """Download the one recording of a page, and return its file and its title. Raises Failed."""
    import yt_dlp  # it takes a second, and is optional

    def watch(status: dict[str, Any]) -> None:
        done, total = status.get("downloaded_bytes") or 0, status.get("total_bytes")
        if max(done, total or 0) > limit:
            raise Failed("file_too_large", f"The file has more than {limit} bytes, which is the limit.")
        if status["status"] == "downloading":
            tell(done=done, total=total)

    options: dict[str, Any] = {
        "format": FORMAT,
        "paths": {"home": str(folder)},
        "outtmpl": {"default": "media.%(ext)s"},
        "noplaylist": True,
        "extract_flat": "in_playlist",
        "playlist_items": "1:2",
        "cachedir": False,
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "color": "never",
        "logtostderr": True,
        "progress_hooks": [watch],
        "socket_timeout": 20,
        "retries": 1,
        "extractor_retries": 1,
        "fragment_retries": 2,
        "fixup": "never",
        "hls_prefer_native": True,
        "external_downloader": {"default": "native"},
        "ffmpeg_location": str(folder / "none"),
        "js_runtimes": {},
        "proxy": "",  # none, whatever the environment says
    }
    with yt_dlp.YoutubeDL(options) as site:
        found = _one(site.extract_info(url, download=False))
        if found.get("is_live") or found.get("live_status") == "is_upcoming":
            raise Failed("fetch_failed", "The address leads to a live broadcast, which has no end.")
        if (found.get("duration") or 0) > max_seconds:
            raise Failed("audio_too_long", f"It is longer than {max_seconds:g} s, which is the limit.")
        if found.get("_type") in ("url", "url_transparent"):
            found = site.extract_info(found["url"], download=True)
        else:
            found = site.process_ie_result(found, download=True)
    files = [path for path in folder.iterdir() if path.suffix not in (".part", ".ytdl")]
    if len(files) != 1:
        raise Failed("fetch_failed", "The page has no media that can be downloaded.")
    return files[0], str(found.get("title") or "")


def _one(found: dict[str, Any] | None) -> dict[str, Any]:
    if found is None:
        raise Failed("fetch_failed", "The page has no media that can be downloaded.")
    if "entries" not in found:
        return found
    entries = [entry for entry in found["entries"] or () if entry]
    if len(entries) != 1:
        raise Failed(
            "fetch_failed", "The page has several recordings, or none: give the address of one of them."
        )
    return entries[0]  # type: ignore[no-any-return]


def failed(error: BaseException) -> Failed:
    """Return what an error of yt-dlp means."""
    from yt_dlp.networking.exceptions import CertificateVerifyError, HTTPError, TransportError
    from yt_dlp.utils import UnsupportedError, YoutubeDLError

    message = str(error).removeprefix("ERROR: ").strip().partition("; please report")[0][:500]
    causes: list[BaseException] = []
    pending: list[BaseException | None] = [error]
    while pending:
        cause = pending.pop()
        if cause is None or cause in causes:
            continue
        causes.append(cause)
        information = getattr(cause, "exc_info", None)
        pending += [cause.__cause__, cause.__context__, getattr(cause, "cause", None)]
        pending += [information[1] if information else None]
    for cause in causes:
        if isinstance(cause, Failed):
            return cause
        if isinstance(cause, Refused):
            return Failed("invalid_url", f"The page leads to an address that is refused: {cause}.")
        if isinstance(cause, UnsupportedError):
            return Failed("not_audio", "The page has no audio or video that yt-dlp can find.")
        if isinstance(cause, HTTPError):
            return Failed("fetch_failed", message, is_transient=cause.status in TRANSIENT)
        if isinstance(cause, MemoryError):
            return Failed("fetch_failed", "The page needs too much memory.")
    for cause in causes:
        if isinstance(cause, CertificateVerifyError):
            return Failed("fetch_failed", message)
        if isinstance(cause, TransportError):
            return Failed("fetch_failed", message, is_transient=True)
    if isinstance(error, YoutubeDLError | OSError):
        # yt-dlp tells of its own retries, which are for what may pass, in words only.
        return Failed("fetch_failed", message, is_transient="Giving up after" in message)
    raise error


def main() -> None:
    """Carry out the request on standard input."""
    request = json.load(sys.stdin)
    limit = request["limit"]
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit + 1, limit + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    guard(private=request["private"])
    try:
        file, title = fetch(request["url"], Path(request["folder"]), limit, request["max_seconds"])
    except Exception as error:
        failure = failed(error)
        tell(code=failure.code, message=str(failure), transient=failure.is_transient)
    else:
        tell(file=file.name, title=title)


if __name__ == "__main__":
    main()
