"""Download the media of web pages with yt-dlp, in a process that is ended when it takes too long."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any, Final

import orjson

from downloads.address import target_of
from downloads.download import MAX_NAME, OnBytes
from downloads.errors import AddressRefused, DownloadError
from downloads.network import TOTAL_SECONDS
from streaming.threads import run_in_thread_to_completion

MAX_LINE: Final = 1 << 16  # bytes that the process writes in a line
ROOT: Final = Path(__file__).resolve().parent.parent


@asynccontextmanager
async def download_media(
    url: str,
    limit: int,
    *,
    private: bool,
    max_seconds: float,
    on_bytes: OnBytes,
    total_seconds: float = TOTAL_SECONDS,
) -> AsyncIterator[tuple[IO[bytes], str]]:
    """Download the recording of a page, and yield its file and its name.

    limit: maximum size in bytes
    max_seconds: longest recording
    total_seconds: most time for all

    Raises DownloadError.
    """
    target_of(url)
    folder = Path(await run_in_thread_to_completion(tempfile.mkdtemp, prefix="stt-video-"))
    try:
        request = {
            "url": url,
            "folder": str(folder),
            "limit": limit,
            "private": private,
            "max_seconds": max_seconds,
        }
        try:
            async with asyncio.timeout(total_seconds):
                found = await _run(request, on_bytes)
        except TimeoutError:
            raise DownloadError(f"It took more than {total_seconds:g} s.") from None
        path = folder / Path(found["file"]).name
        with path.open("rb") as file:
            yield file, f"{found['title'][:MAX_NAME]}{path.suffix}" if found["title"] else path.name
    finally:
        await run_in_thread_to_completion(shutil.rmtree, folder, ignore_errors=True)


async def _run(request: dict[str, Any], on_bytes: OnBytes) -> dict[str, Any]:
    """Run the process to its end, and return its last line. Raises DownloadError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "downloads.video_site_process",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=MAX_LINE,
        cwd=ROOT,
        # It gets nothing of the server's environment, which holds secrets.
        env={"PATH": os.defpath, "HOME": request["folder"], "LANG": "C.UTF-8", "YTDLP_NO_PLUGINS": "1"},
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(orjson.dumps(request))
        process.stdin.close()
        async for line in process.stdout:
            fields: dict[str, Any] = orjson.loads(line)
            if "file" in fields:
                return fields
            if "code" in fields:
                raise _error(fields)
            on_bytes(fields["done"], fields["total"])
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    raise DownloadError("The page could not be read: yt-dlp failed.")


def _error(fields: dict[str, Any]) -> DownloadError:
    kind = AddressRefused if fields["code"] == AddressRefused.code else DownloadError
    error = kind(fields["message"], is_transient=fields["transient"])
    error.code = fields["code"]
    return error
