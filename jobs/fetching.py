"""Download the audio of jobs."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import IO

from downloads.download import OnBytes, download, name_of
from downloads.errors import DownloadError
from downloads.network import Network
from jobs.errors import JobFailure, TransientFailure

Fetch = Callable[[str, OnBytes], AbstractAsyncContextManager[tuple[IO[bytes], str]]]


class Fetcher:
    """Download the address of a job, and yield the file with its name.

    max_bytes: largest file
    private: addresses that are not public are allowed, too

    Calls raise JobFailure, or TransientFailure if another try may succeed.
    """

    def __init__(self, *, max_bytes: int, private: bool, network: Network | None = None) -> None:
        self._max_bytes = max_bytes
        self._private = private
        self._network = network

    @asynccontextmanager
    async def __call__(self, url: str, on_bytes: OnBytes) -> AsyncIterator[tuple[IO[bytes], str]]:
        async with AsyncExitStack() as stack:
            opened = download(
                url, self._max_bytes, private=self._private, network=self._network, on_bytes=on_bytes
            )
            try:
                file = await stack.enter_async_context(opened)
            except DownloadError as error:
                raise failure_of(error) from error
            yield file, name_of(url)


def failure_of(error: DownloadError) -> JobFailure | TransientFailure:
    """Return how a failed download ends a run of a job."""
    if error.is_transient:
        return TransientFailure(error.message, error.code)
    return JobFailure(error.code, error.message)
