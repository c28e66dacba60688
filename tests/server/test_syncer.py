"""Files are synced beside those who write them."""

import os
from pathlib import Path

from server.syncer import Syncer, Written


class Owner:
    """Of files; told what became of them."""

    def __init__(self, *handles: int) -> None:
        self.handles = handles
        self.failures: list[OSError] = []
        self.synced = 0

    @property
    def written(self) -> Written:
        return Written(self.handles, self.failures.append, self._count)

    def _count(self) -> None:
        self.synced += 1


def opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT)


def is_open(handle: int) -> bool:
    return Path(f"/proc/self/fd/{handle}").exists()


def test_a_round_syncs_every_file_and_closes_its_handle(tmp_path: Path) -> None:
    one, other = Owner(opened(tmp_path / "a"), opened(tmp_path / "b")), Owner(opened(tmp_path / "c"))
    syncer = Syncer(tmp_path)
    syncer.sync([one.written, other.written])
    syncer.stop()
    assert not syncer.is_busy
    assert (one.failures, other.failures, one.synced, other.synced) == ([], [], 1, 1)
    assert not any(map(is_open, [*one.handles, *other.handles]))


def test_one_that_cannot_be_synced_is_told_and_the_others_are(tmp_path: Path) -> None:
    reading, writing = os.pipe()  # no disk is behind it
    bad, good = Owner(opened(tmp_path / "a"), writing), Owner(opened(tmp_path / "b"))
    syncer = Syncer(tmp_path)
    syncer.sync([bad.written, good.written])
    syncer.stop()
    os.close(reading)
    assert (len(bad.failures), bad.synced, good.failures, good.synced) == (1, 0, [], 1)
    assert not any(map(is_open, [*bad.handles, *good.handles]))


def test_where_the_names_cannot_be_synced_nobody_is_told_that_all_is_safe(tmp_path: Path) -> None:
    owner = Owner(opened(tmp_path / "a"))
    syncer = Syncer(tmp_path / "gone")
    syncer.sync([owner.written])
    syncer.stop()
    assert (len(owner.failures), owner.synced) == (1, 0)
