"""Test that a disconnect cancels the work for a request."""

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from server.http.disconnect import cancel_on_disconnect


class Telephone:
    def __init__(self) -> None:
        self.hung_up = asyncio.Event()

    async def __call__(self) -> Any:
        await self.hung_up.wait()
        return {"type": "http.disconnect"}


async def test_work_that_ends_first_is_not_cancelled() -> None:
    async with cancel_on_disconnect(Telephone()):
        await asyncio.sleep(0)


async def test_disconnect_cancels_the_work() -> None:
    telephone = Telephone()
    telephone.hung_up.set()
    with pytest.raises(ClientDisconnect):
        async with cancel_on_disconnect(telephone):
            await asyncio.Event().wait()


@pytest.mark.parametrize("error", [ValueError, TimeoutError, asyncio.CancelledError])
async def test_errors_of_the_work_are_raised_unchanged(error: type[BaseException]) -> None:
    with pytest.raises(error):
        async with cancel_on_disconnect(Telephone()):
            raise error


async def test_watcher_ends_with_the_context() -> None:
    async with cancel_on_disconnect(Telephone()):
        pass
    await asyncio.sleep(0)
    assert [task for task in asyncio.all_tasks() if "disconnect" in task.get_name()] == []
