"""Test that written data is synced in a thread of its own."""

import errno
import os
from pathlib import Path

import pytest

from journal.fsync import FsyncRequest, FsyncThread, sync_file_system


class Owner:
    """Own files and count the reports of their sync."""

    def __init__(self) -> None:
        self.failures: list[OSError] = []
        self.synced = 0

    @property
    def written(self) -> FsyncRequest:
        return FsyncRequest(self._count, self.failures.append)

    def _count(self) -> None:
        self.synced += 1


def open_handles() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_round_reports_to_all_owners_and_leaks_no_handle(tmp_path: Path) -> None:
    before = open_handles()
    (tmp_path / "a").write_bytes(b"new")
    one, other = Owner(), Owner()
    syncer = FsyncThread(tmp_path)
    syncer.sync([one.written, other.written])
    syncer.sync([other.written])
    syncer.stop()
    assert not syncer.is_busy
    assert (one.failures, other.failures, one.synced, other.synced) == ([], [], 1, 2)
    assert open_handles() == before


def test_a_failed_round_reports_errors_only(tmp_path: Path) -> None:
    one, other = Owner(), Owner()
    syncer = FsyncThread(tmp_path / "gone")
    syncer.sync([one.written, other.written])
    syncer.stop()
    assert [len(owner.failures) for owner in (one, other)] == [1, 1]
    assert (one.synced, other.synced) == (0, 0)


def test_the_error_of_the_system_is_raised() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    os.close(reading)
    with pytest.raises(OSError, match="descriptor") as failed:
        sync_file_system(reading)
    assert failed.value.errno == errno.EBADF
