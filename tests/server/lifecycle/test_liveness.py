"""Test the signs of life of a worker."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from server.lifecycle.liveness import NOTIFICATION, show_liveness
from tests.waiting import until


@contextmanager
def systemd(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address.replace("@", "\0"))
        receiver.settimeout(20)
        yield receiver


@pytest.mark.parametrize("is_abstract", [False, True])
async def test_file_is_touched_and_systemd_is_told(tmp_path: Path, is_abstract: bool) -> None:
    file, name = tmp_path / "alive", f"{'@' if is_abstract else ''}{tmp_path}/notify"
    with systemd(name) as receiver:
        showing = asyncio.create_task(show_liveness(lambda: False, file, name, 0.01))
        for _ in range(2):
            assert await asyncio.to_thread(receiver.recv, 100) == NOTIFICATION
        assert file.exists()
        file.unlink()
        await until(file.exists)
        showing.cancel()


async def test_stuck_worker_gives_no_sign_until_it_goes_on(tmp_path: Path) -> None:
    file, looks, stuck = tmp_path / "alive", 0, True

    def is_stuck() -> bool:
        nonlocal looks
        looks += 1
        return stuck

    showing = asyncio.create_task(show_liveness(is_stuck, file, "", 0.01))
    await until(lambda: looks > 3)
    assert not file.exists()
    stuck = False
    await until(file.exists)
    showing.cancel()


async def test_unusable_place_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "later"
    showing = asyncio.create_task(show_liveness(lambda: False, folder / "alive", "", 0.01))
    await until(lambda: "worker.liveness_failed" in caplog.text)
    folder.mkdir()
    await until((folder / "alive").exists)
    showing.cancel()
