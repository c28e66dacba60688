"""Download the audio of jobs."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import IO

from downloads.download import OnBytes, download, name_of
from downloads.errors import DownloadError, NotAudio
from downloads.network import Network
from downloads.video_sites import download_media
from jobs.errors import JobFailure, TransientFailure

Fetch = Callable[[str, OnBytes], AbstractAsyncContextManager[tuple[IO[bytes], str]]]


class Fetcher:
    """Download the address of a job, and yield the file with its name.

    max_bytes: largest file
    private: addresses that are not public are allowed, too
    video_seconds: longest recording of a web page that is downloaded; None if pages are refused

    Calls raise JobFailure, or TransientFailure if another try may succeed.
    """

    def __init__(
        self,
        *,
        max_bytes: int,
        private: bool,
        video_seconds: float | None = None,
        network: Network | None = None,
    ) -> None:
        self._max_bytes = max_bytes
        self._private = private
        self._video_seconds = video_seconds
        self._network = network

    @asynccontextmanager
    async def __call__(self, url: str, on_bytes: OnBytes) -> AsyncIterator[tuple[IO[bytes], str]]:
        async with AsyncExitStack() as stack:
            try:
                found = await self._open(stack, url, on_bytes)
            except DownloadError as error:
                raise failure_of(error) from error
            yield found

    async def _open(self, stack: AsyncExitStack, url: str, on_bytes: OnBytes) -> tuple[IO[bytes], str]:
        """Download a file, or the recording of a page. Raises DownloadError."""
        try:
            opened = download(
                url, self._max_bytes, private=self._private, network=self._network, on_bytes=on_bytes
            )
            return await stack.enter_async_context(opened), name_of(url)
        except NotAudio as error:
            if not error.is_page:
                raise
            if self._video_seconds is None:
                hint = "To allow pages of video sites, the operator sets FETCH_VIDEO_SITES=true."
                error.message = f"{error.message} {hint}"
                raise
        media = download_media(
            url,
            self._max_bytes,
            private=self._private,
            max_seconds=self._video_seconds,
            on_bytes=on_bytes,
        )
        return await stack.enter_async_context(media)


def failure_of(error: DownloadError) -> JobFailure | TransientFailure:
    """Return how a failed download ends a run of a job."""
    if error.is_transient:
        return TransientFailure(error.message, error.code, error.retry_after)
    return JobFailure(error.code, error.message)
